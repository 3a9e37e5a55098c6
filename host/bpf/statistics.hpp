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
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace scxhost {

// One reading of a scheduler's statistics.
struct Sample {
    std::chrono::nanoseconds since_start{};
    std::vector<std::int64_t> values; // parallel to the object's declared statistics
};

// Copies a per-CPU map: entry after entry, in each the values of all possible CPUs, each rounded up to eight bytes.
using PerCpuCopy = std::function<Result<>(const bpf_map& map, std::span<std::byte> out)>;
Result<> copy_per_cpu_map(const bpf_map& map, std::span<std::byte> out);

class StatisticsReader {
public:
    // `object` must be loaded and outlive the reader. kObject: a statistic lies outside its map, or its number is not
    // aligned. `copy` is another one in tests, which have no kernel.
    static Result<StatisticsReader> make(const SchedulerObject& object, PerCpuCopy copy = copy_per_cpu_map);

    // One value for each declared statistic, in order. kIo: a map could not be read.
    Result<std::vector<std::int64_t>> read();

private:
    // A container of numbers: mapped memory, or a buffer that a map is copied into before it is read.
    struct Container {
        const std::byte* base = nullptr;
        const bpf_map* map = nullptr; // a per-CPU map to copy first
        std::vector<std::byte> copy;
        std::size_t stride = 0; // bytes from one CPU's or entry's value to the next
    };
    struct Source {
        std::size_t container = 0;
        std::vector<std::size_t> offsets;
    };

    StatisticsReader(const SchedulerObject& object, PerCpuCopy copy)
        : object_(&object)
        , copy_(std::move(copy)) {}

    const SchedulerObject* object_;
    PerCpuCopy copy_;
    std::vector<Container> containers_;
    std::vector<Source> sources_; // parallel to the declared statistics
};

} // namespace scxhost
