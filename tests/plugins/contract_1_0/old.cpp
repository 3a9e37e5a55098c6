// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin as contract 1.0 had it, built against the headers of that version, which stay as they are in this folder.
#include "tests/plugins/journal.hpp"
#include <scxhost/plugin.hpp>

#include <cstdint>

static_assert(SCXHOST_CONTRACT_MINOR == 0, "these are not the headers of 1.0");

namespace {

class Old : public scxhost::sdk::Plugin {
public:
    using Plugin::Plugin;
    ~Old() override { zoo::note("destroy"); }

    void configure() override {
        zoo::note("configure");
        host().set("count", host().get<std::uint32_t>("count") + 1);
        host().info("contract 1.0");
    }
    void loaded() override { zoo::note("loaded"); }
    void attached() override { zoo::note("attached"); }
    void tick() override { zoo::note("tick"); }
    void detaching() override { zoo::note("detaching"); }
};

} // namespace

SCXHOST_PLUGIN(Old);
