// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin on the SDK that notes each call, and in the test's name throws what SDK users may throw.
#include "tests/plugins/journal.hpp"
#include <scxhost/plugin.hpp>

#include <cstdint>
#include <new>
#include <stdexcept>

namespace {

// Tells when the library comes and goes: list and inspect must not make it come.
struct Library {
    Library() { zoo::note("library loaded"); }
    ~Library() { zoo::note("library unloaded"); }
} library;

void pass(const std::string& method) {
    zoo::note(method);
    if (zoo::has_fault(method + ":error"))
        throw scxhost::sdk::Error(method + " is not in the mood", "try tomorrow", EAGAIN);
    if (zoo::has_fault(method + ":exception"))
        throw std::runtime_error(method + " ran into trouble");
    if (zoo::has_fault(method + ":memory"))
        throw std::bad_alloc();
    if (zoo::has_fault(method + ":int"))
        throw 42;
}

class Good : public scxhost::sdk::Plugin {
public:
    explicit Good(const scxhost::sdk::Host& host)
        : Plugin(host) {
        pass("create");
    }
    ~Good() override { zoo::note("destroy"); }

    void configure() override {
        pass("configure");
        host().info("slice " + std::to_string(host().get<std::uint64_t>("slice_ns")));
        if (zoo::has_fault("absent variable"))
            host().set("absent", 1);
        if (zoo::has_fault("wrong size"))
            host().set("count", std::uint64_t{1});
        if (zoo::has_fault("early map"))
            (void)host().map("places");
        if (zoo::has_fault("absent map"))
            (void)host().map("absent");
        host().set("count", std::uint32_t{77});
    }
    void loaded() override { pass("loaded"); }
    void attached() override { pass("attached"); }
    void tick() override { pass("tick"); }
    void detaching() override { pass("detaching"); }
};

} // namespace

SCXHOST_PLUGIN(Good);
