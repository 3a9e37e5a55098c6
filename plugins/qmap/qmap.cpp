// SPDX-License-Identifier: GPL-2.0-only
//
// qmap's user-space half: checks options against each other, which a declaration cannot say. Nothing else needs user
// space.
#include <scxhost/plugin.hpp>

#include <cstdint>

namespace {

using scxhost::sdk::Error;
using scxhost::sdk::Plugin;

constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;

class Qmap : public Plugin {
public:
    using Plugin::Plugin;

    void configure() override {
        const auto slice_ns = host().get<std::uint64_t>("slice_ns");
        const auto timeout_ms = host().get<std::uint32_t>("timeout_ms");
        // The second of two tasks on one CPU waits for a slice: the watchdog would take that for a stall.
        if (slice_ns >= timeout_ms * kNanosecondsPerMillisecond)
            throw Error("slice is not shorter than timeout: tasks that wait for one slice would eject the policy",
                        "choose a shorter slice or a longer timeout");
        if (host().get<std::uint32_t>("max_tasks") == 0)
            throw Error("max_tasks must be > 0", "every task of the machine needs an entry; the default is 16384");
        if (host().get<bool>("boost_highpri") && host().get<std::uint32_t>("dispatch_batch") < 2)
            host().warning("boost_highpri has little effect without a dispatch_batch: tasks overtake in the shared "
                           "dispatch queue, and one at a time none waits there; set dispatch_batch = 8");
        if (host().get<std::int32_t>("disallow_pid") != 0 && !host().get<bool>("partial"))
            host().warning("disallow_pid without partial keeps the process only from asking for SCHED_EXT: every "
                           "ordinary task belongs to the policy anyway; set partial = true");
    }
};

} // namespace

SCXHOST_PLUGIN(Qmap);
