// SPDX-License-Identifier: GPL-2.0-only
//
// A user-space half for an object that exists already (tests/vm/needy.bpf.c): does in configure() and loaded() what the
// loading program did.
#include "tests/plugins/journal.hpp"
#include <scxhost/plugin.hpp>

#include <cstdint>

namespace {

using scxhost::sdk::Plugin;

struct CpuArgument {
    std::int32_t cpu_id;
    std::int32_t sibling_cpu_id;
    std::uint32_t level;
};

class Around : public Plugin {
public:
    using Plugin::Plugin;

    void configure() override {
        host().set("nr_cpu_ids", std::uint32_t{4});
        host().resize("layers", 3);
        host().resize("per_cpu_marks", 4);
        host().resize("cpu_llc", 4);
        host().bytes("cpu_llc")[12] = std::byte{9};
        zoo::note(host().set_flag("SCX_OPS_SWITCH_PARTIAL") ? "partial" : "no flag partial");
        zoo::note(host().set_flag("SCX_OPS_NEVER_HEARD_OF") ? "never heard of" : "no flag never heard of");
        for (const char* name : {"nothing", "tasks", "nr_nodes", "cpu_core"})
            try {
                host().resize(name, 4);
            } catch (const scxhost::sdk::Error& error) {
                zoo::note(error.what());
            }
    }
    void loaded() override {
        CpuArgument argument = {.cpu_id = 3, .sibling_cpu_id = -1, .level = 0};
        if (host().map("layers").max_entries != 3 || host().run("enable_cpu", argument) != 0)
            throw scxhost::sdk::Error("it has not arrived");
        try {
            host().resize("layers", 4);
        } catch (const scxhost::sdk::Error& error) {
            zoo::note(error.what());
        }
    }
};

} // namespace

SCXHOST_PLUGIN(Around);
