// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/statistics.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

namespace scxhost {
namespace {

// A statistics map has one entry, or a few; a hostile object shall not make the host copy gigabytes each second.
constexpr std::uint32_t kMaxMapEntries = 1024;

std::int64_t load_number(const std::byte* at, std::uint32_t width, bool is_signed) {
    // The BPF side may be writing right now: one access of the number's own width.
    const auto load = [at]<typename T>(T) { return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_RELAXED); };
    switch (width) {
    case 1:
        return is_signed ? std::int64_t{load(std::int8_t{})} : std::int64_t{load(std::uint8_t{})};
    case 2:
        return is_signed ? std::int64_t{load(std::int16_t{})} : std::int64_t{load(std::uint16_t{})};
    case 4:
        return is_signed ? std::int64_t{load(std::int32_t{})} : std::int64_t{load(std::uint32_t{})};
    default:
        return load(std::int64_t{});
    }
}

std::int64_t fold(Fold how, const std::vector<std::int64_t>& values) {
    if (values.empty())
        return 0;
    switch (how) {
    case Fold::kMax:
        return std::ranges::max(values);
    case Fold::kMin:
        return std::ranges::min(values);
    case Fold::kSum:
    case Fold::kAverage:
        break;
    }
    // Counters wrap; signed overflow would be undefined.
    std::uint64_t sum = 0;
    for (const std::int64_t value : values)
        sum += static_cast<std::uint64_t>(value);
    const auto total = static_cast<std::int64_t>(sum);
    return how == Fold::kAverage ? total / static_cast<std::int64_t>(values.size()) : total;
}

std::span<const std::byte> globals_of(const SchedulerObject& object, const StatisticDeclaration& statistic) {
    const std::size_t size = object.section_size(statistic.container);
    if (statistic.home == StatisticDeclaration::Home::kArena)
        return object.arena_globals() == nullptr ? std::span<const std::byte>()
                                                 : std::span(object.arena_globals(), size);
    const auto place = std::ranges::find(object.btf().variables(), statistic.container, &VariablePlace::section);
    if (place == object.btf().variables().end())
        return {};
    // Offsets are from the section's start: the first variable's bytes tell where that is.
    const std::span<const std::byte> bytes = object.variable_bytes(*place);
    return bytes.empty() ? bytes : std::span(bytes.data() - place->offset, size);
}

std::optional<StatisticsPlace> place_in(const SchedulerObject& object, const StatisticDeclaration& statistic,
                                        const PerCpuCopy& copy) {
    if (statistic.home != StatisticDeclaration::Home::kPerCpuMap) {
        const std::span<const std::byte> mapped = globals_of(object, statistic);
        return mapped.empty() ? std::nullopt : std::optional(StatisticsPlace{.mapped = mapped});
    }
    const bpf_map* map = object.find_map(statistic.container);
    if (map == nullptr)
        return std::nullopt;
    return StatisticsPlace{.value_size = bpf_map__value_size(map),
                           .entries = bpf_map__max_entries(map),
                           .copy = [map, copy](std::span<std::byte> out) { return copy(*map, out); }};
}

} // namespace

Result<> copy_map_values(int map, std::uint32_t entries, std::span<std::byte> out) {
    for (std::uint32_t key = 0; key < entries; ++key)
        if (::bpf_map_lookup_elem(map, &key, out.data() + out.size() / entries * key) != 0)
            return fail_errno(ErrorKind::kIo, "cannot read the statistics map", errno);
    return {};
}

Result<> copy_per_cpu_map(const bpf_map& map, std::span<std::byte> out) {
    return copy_map_values(bpf_map__fd(&map), bpf_map__max_entries(&map), out);
}

Result<StatisticsReader> StatisticsReader::make(const SchedulerObject& object, PerCpuCopy copy) {
    return make(object.declarations().statistics,
                [&](const StatisticDeclaration& statistic) { return place_in(object, statistic, copy); });
}

Result<StatisticsReader> StatisticsReader::make(const std::vector<StatisticDeclaration>& declared,
                                                const FindStatisticsPlace& find) {
    StatisticsReader reader(declared);
    // By home too: a map may be called as a section is.
    std::map<std::pair<StatisticDeclaration::Home, std::string>, std::size_t> known;
    for (const StatisticDeclaration& statistic : declared) {
        const auto outside = [&] {
            return fail(ErrorKind::kObject,
                        fmt::format("statistic '{}' lies outside '{}'", statistic.name, statistic.container));
        };
        auto [entry, is_new] =
            known.try_emplace(std::pair(statistic.home, statistic.container), reader.containers_.size());
        if (statistic.home == StatisticDeclaration::Home::kPlugin) // no object declares it
            return outside();
        std::optional<StatisticsPlace> place = find(statistic);
        const int cpus = libbpf_num_possible_cpus();
        if (!place || cpus <= 0 || place->entries == 0 || place->entries > kMaxMapEntries)
            return outside();
        Container container{.base = place->mapped.data(), .refresh = std::move(place->copy), .copy = {}};
        const std::size_t size = container.refresh ? place->value_size : place->mapped.size();
        if (container.refresh) {
            const bool per_cpu = statistic.home == StatisticDeclaration::Home::kPerCpuMap;
            container.stride = (size + 7) / 8 * 8; // the kernel rounds each CPU's value up to eight bytes
            container.copy.resize(container.stride * (per_cpu ? static_cast<std::size_t>(cpus) : 1) * place->entries);
        }
        Source source{.container = entry->second, .offsets = {}};
        for (const std::uint32_t offset : statistic.offsets) {
            if (offset > size || statistic.width > size - offset)
                return outside();
            if (offset % statistic.width != 0) // of a packed struct: no single access reads it
                return fail(ErrorKind::kObject,
                            fmt::format("statistic '{}' is not aligned in '{}'", statistic.name, statistic.container));
            if (!container.refresh) {
                source.offsets.push_back(offset);
                continue;
            }
            // Entry after entry, the values of all CPUs in each.
            const std::size_t entry_size = container.copy.size() / place->entries;
            const std::size_t begin = statistic.entry ? *statistic.entry * entry_size : 0;
            const std::size_t end = statistic.entry ? begin + entry_size : container.copy.size();
            if (end > container.copy.size())
                return outside();
            for (std::size_t at = begin + offset; at < end; at += container.stride)
                source.offsets.push_back(at);
        }
        if (is_new)
            reader.containers_.push_back(std::move(container));
        reader.sources_.push_back(std::move(source));
    }
    return reader;
}

Result<std::vector<std::int64_t>> StatisticsReader::read() {
    for (Container& container : containers_)
        if (container.refresh)
            SCXHOST_TRY(container.refresh(container.copy));
    std::vector<std::int64_t> result;
    std::vector<std::int64_t> values;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        const StatisticDeclaration& statistic = (*declared_)[i];
        const Container& container = containers_[sources_[i].container];
        const std::byte* base = container.refresh ? container.copy.data() : container.base;
        values.clear();
        for (const std::size_t offset : sources_[i].offsets)
            values.push_back(load_number(base + offset, statistic.width, statistic.is_signed));
        result.push_back(fold(statistic.fold, values));
    }
    return result;
}

} // namespace scxhost
