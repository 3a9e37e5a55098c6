// SPDX-License-Identifier: GPL-2.0-only
//
// central's user-space half: checks options against each other, and brings the timer to the central CPU. A BPF timer
// runs on the CPU that starts it, and init is not told on which one it runs.
#include <scxhost/plugin.hpp>

#include <sched.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

namespace {

using scxhost::sdk::Error;
using scxhost::sdk::Plugin;

class Central : public Plugin {
public:
    using Plugin::Plugin;

    void configure() override {
        const auto slice_ns = host().get<std::uint64_t>("slice_ns");
        if (slice_ns < host().get<std::uint64_t>("interval_ns"))
            throw Error("slice is shorter than interval: nobody would notice its end in time",
                        "choose a longer slice or a shorter interval");
        if (slice_ns >= host().get<std::uint32_t>("timeout_ms") * std::uint64_t{1'000'000})
            throw Error("slice is not shorter than timeout: tasks that wait for one slice would eject the policy",
                        "choose a shorter slice or a longer timeout");
    }

    void attached() override {
        const auto cpu = host().get<std::int32_t>("central_cpu");
        if (const auto wanted = host().get<std::uint32_t>("wanted_cpu"); static_cast<std::uint32_t>(cpu) != wanted)
            host().warning("CPU " + std::to_string(wanted) + " is not online: CPU " + std::to_string(cpu) + " decides");
        cpu_set_t before;
        cpu_set_t central;
        CPU_ZERO(&central);
        CPU_SET(cpu, &central);
        if (::sched_getaffinity(0, sizeof before, &before) != 0 ||
            ::sched_setaffinity(0, sizeof central, &central) != 0)
            return host().warning("CPU " + std::to_string(cpu) + " is not to be had (" + std::strerror(errno) +
                                  "): the timer runs where the kernel likes; the decisions are the same");
        const std::int32_t error = host().run("central_pin_timer");
        ::sched_setaffinity(0, sizeof before, &before);
        if (error != 0)
            throw Error("the timer cannot be started on CPU " + std::to_string(cpu) + ": " + std::strerror(-error));
    }
};

} // namespace

SCXHOST_PLUGIN(Central);
