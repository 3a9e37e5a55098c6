// SPDX-License-Identifier: GPL-2.0-only
//
// Delays from wake-up to run, lengths of run queues and migrations, of all tasks of the machine and by the same BPF
// program whatever schedules (wakeups.bpf.c).
#pragma once

#include "host/base/result.hpp"
#include "host/measure/figure.hpp"
#include "host/measure/wakeups.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

struct bpf_link;
struct bpf_object;

namespace scxhost {

inline constexpr unsigned kWakeupBuckets = WAKEUPS_BUCKETS;

// What was counted until a moment.
struct WakeupCounts {
    std::array<std::uint64_t, kWakeupBuckets> delays{};      // wake-ups
    std::array<std::uint64_t, WAKEUPS_LENGTHS> lengths_ns{}; // of all CPUs together
    std::uint64_t migrations = 0;
};

// Of the time between two readings: percentiles of the delay, mean and p99 of the length, migrations.
[[nodiscard]] std::vector<Figure> figures_between(const WakeupCounts& before, const WakeupCounts& after);
// The largest delay that a bucket holds, in nanoseconds.
[[nodiscard]] std::uint64_t largest_delay_of(std::size_t bucket);

class WakeupTracer {
public:
    // Loads and attaches. Errors: kPermission, kUnsupported: this kernel does not take it, with the verifier's words.
    static Result<WakeupTracer> start();
    WakeupTracer(WakeupTracer&&) noexcept;
    WakeupTracer& operator=(WakeupTracer&&) noexcept;
    ~WakeupTracer(); // detaches

    [[nodiscard]] Result<WakeupCounts> read() const;

private:
    struct Closer {
        void operator()(bpf_object* object) const;
        void operator()(bpf_link* link) const;
    };
    WakeupTracer() = default;
    std::unique_ptr<bpf_object, Closer> object_;
    std::vector<std::unique_ptr<bpf_link, Closer>> links_;
};

[[nodiscard]] std::span<const std::byte> wakeups_object();

} // namespace scxhost
