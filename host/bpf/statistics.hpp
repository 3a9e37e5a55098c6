// SPDX-License-Identifier: GPL-2.0-only
//
// Reads the statistics that a loaded object declares. Numbers in mapped memory are read as the BPF programs write them,
// without a lock: each one is consistent, the set of them belongs to slightly different moments.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/scheduler_object.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace scxhost {

// One reading of a scheduler's statistics.
struct Sample {
    std::chrono::nanoseconds since_start{};
    std::vector<std::int64_t> values; // parallel to the object's declared statistics
};

class StatisticsReader {
public:
    // `object` must be loaded and outlive the reader. kObject: a statistic lies outside its map.
    static Result<StatisticsReader> make(const SchedulerObject& object);

    // One value for each declared statistic, in order. kIo: a map could not be read.
    Result<std::vector<std::int64_t>> read();

private:
    // A container of numbers: mapped memory, or a buffer that a map is copied into before it is read.
    struct Container {
        const std::byte* base = nullptr;
        int map_fd = -1;           // a per-CPU map to copy first
        std::uint32_t entries = 0; // of that map
        std::size_t stride = 0;    // bytes from one CPU's or entry's value to the next
        std::vector<std::byte> copy;
    };
    struct Source {
        std::size_t container = 0;
        std::vector<std::size_t> offsets;
    };

    explicit StatisticsReader(const SchedulerObject& object)
        : object_(&object) {}

    const SchedulerObject* object_;
    std::vector<Container> containers_;
    std::vector<Source> sources_; // parallel to the declared statistics
};

} // namespace scxhost
