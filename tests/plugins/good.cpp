// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin on the SDK that notes each call, and in the test's name throws what SDK users may throw.
#include "tests/plugins/journal.hpp"
#include <scxhost/plugin.hpp>

#include <cstdint>
#include <cstdio>
#include <new>
#include <span>
#include <stdexcept>
#include <string>

namespace {

// Tells when the library comes and goes: list and inspect must not make it come.
struct Library {
    Library() {
        zoo::note("library loaded");
        if (zoo::has_fault("constructor:print"))
            std::puts("a constructor of the library ran");
        if (zoo::has_fault("constructor:hang"))
            zoo::hang();
    }
    ~Library() {
        zoo::note("library unloaded");
        if (zoo::has_fault("destructor:hang"))
            zoo::hang();
    }
} library;

// With a destructor that each thread which came by owes.
thread_local std::string last_method;

void pass(const std::string& method) {
    zoo::note(method);
    last_method = method;
    if (zoo::has_fault(method + ":error"))
        throw scxhost::sdk::Error(method + " is not in the mood", "try tomorrow", EAGAIN);
    if (zoo::has_fault(method + ":exception"))
        throw std::runtime_error(method + " ran into trouble");
    if (zoo::has_fault(method + ":memory"))
        throw std::bad_alloc();
    if (zoo::has_fault(method + ":int"))
        throw 42;
    if (zoo::has_fault(method + ":hang"))
        zoo::hang();
    if (zoo::has_fault(method + ":spin"))
        zoo::hang(std::chrono::milliseconds(0));
}

class Good : public scxhost::sdk::Plugin {
public:
    explicit Good(const scxhost::sdk::Host& host)
        : Plugin(host)
        , ticks_(host.counter({.name = "ticks", .help = "Calls of tick()", .group = "user space"}))
        , level_(host.gauge({.name = "level"})) {
        pass("create");
    }
    ~Good() override {
        zoo::note("destroy");
        if (zoo::has_fault("destroy:hang"))
            zoo::hang();
    }

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
        if (zoo::has_fault("taken statistic"))
            (void)host().gauge({.name = "enqueued"});
        if (zoo::has_fault("own statistic twice"))
            (void)host().gauge({.name = "level"});
        if (zoo::has_fault("statistic without a name"))
            (void)host().gauge({.name = ""});
        if (zoo::has_fault("too many statistics"))
            for (int i = 0; i < SCXHOST_STATISTICS_MAX; ++i)
                (void)host().gauge({.name = "level." + std::to_string(i)});
        if (zoo::has_fault("early events"))
            on_event("places", [](std::span<const std::byte>) {});
        if (zoo::has_fault("absent events"))
            on_event("absent", [](std::span<const std::byte>) {});
        if (zoo::has_fault("early program"))
            host().run("zoo_enqueue");
        if (zoo::has_fault("absent program"))
            host().run("absent");
        host().set("count", std::uint32_t{77});
    }
    void loaded() override { pass("loaded"); }
    void attached() override { pass("attached"); }
    void tick() override {
        pass("tick");
        if (zoo::has_fault("late statistic"))
            (void)host().gauge({.name = "late"});
        ticks_.set(++nr_ticks_);
        level_.set(-nr_ticks_);
    }
    void detaching() override { pass("detaching"); }

private:
    scxhost::sdk::Statistic ticks_;
    scxhost::sdk::Statistic level_;
    std::int64_t nr_ticks_ = 0;
};

} // namespace

SCXHOST_PLUGIN(Good);
