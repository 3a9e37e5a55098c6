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
#include <optional>
#include <span>
#include <string>
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
// The same for a descriptor, and for maps of one value an entry. kIo.
Result<> copy_map_values(int map, std::uint32_t entries, std::span<std::byte> out);

// Where the numbers of one container of statistics (a section of globals, a map) are.
struct StatisticsPlace {
    std::span<const std::byte> mapped = {}; // all of it; empty: `copy` gets it before each reading
    std::uint32_t value_size = 0;           // bytes, of one entry
    std::uint32_t entries = 1;
    std::function<Result<>(std::span<std::byte> out)> copy = {}; // of a per-CPU map as PerCpuCopy
};
// nullopt: it cannot be read.
using FindStatisticsPlace = std::function<std::optional<StatisticsPlace>(const StatisticDeclaration& statistic)>;

class StatisticsReader {
public:
    // `declared` must outlive the reader, and so must all that the places refer to. kObject: a statistic lies outside
    // its map, or its number is not aligned.
    static Result<StatisticsReader> make(const std::vector<StatisticDeclaration>& declared,
                                         const FindStatisticsPlace& find);
    // `object` must be loaded and outlive the reader. kObject: a statistic lies outside its map, or its number is not
    // aligned. `copy` is another one in tests, which have no kernel.
    static Result<StatisticsReader> make(const SchedulerObject& object, PerCpuCopy copy = copy_per_cpu_map);

    // One value for each declared statistic, in order. kIo: a map could not be read.
    Result<std::vector<std::int64_t>> read();

private:
    // A container of numbers: mapped memory, or a buffer that a map is copied into before it is read.
    struct Container {
        const std::byte* base = nullptr;
        std::function<Result<>(std::span<std::byte> out)> refresh; // copies it first; empty: it is mapped
        std::vector<std::byte> copy;
        std::size_t stride = 0; // bytes from one CPU's or entry's value to the next
    };
    struct Source {
        std::size_t container = 0;
        std::vector<std::size_t> offsets;
    };

    explicit StatisticsReader(const std::vector<StatisticDeclaration>& declared)
        : declared_(&declared) {}

    const std::vector<StatisticDeclaration>* declared_;
    std::vector<Container> containers_;
    std::vector<Source> sources_; // parallel to the declared statistics
};

} // namespace scxhost
