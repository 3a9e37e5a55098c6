// SPDX-License-Identifier: GPL-2.0-only
//
// The user-space half of my_sched: what a declaration next to a variable cannot say. Every method is optional;
// <scxhost/plugin.hpp> has them all.
#include <scxhost/plugin.hpp>

#include <cstdint>
#include <string>

namespace {

class Policy : public scxhost::sdk::Plugin {
public:
    using Plugin::Plugin;

    // The options are set, nothing is loaded: what does not go together is refused here, and whatever scheduler runs is
    // not touched.
    void configure() override {
        if (!host().get<bool>("direct") && host().get<std::uint64_t>("slice_ns") > kLongestWait)
            throw scxhost::sdk::Error("without direct every task waits in the queue, and slice is longer than 100ms",
                                      "choose a shorter slice, or set direct = true");
    }

    // The kernel has confirmed that the scheduler runs.
    void attached() override {
        host().info("slices of " + std::to_string(host().get<std::uint64_t>("slice_ns") / 1000) + " us");
    }

private:
    static constexpr std::uint64_t kLongestWait = 100'000'000; // ns
};

} // namespace

SCXHOST_PLUGIN(Policy);
