// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/variable_statistics.hpp"

#include "host/base/suggest.hpp"
#include "host/bpf/type_walk.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace scxhost {
namespace {

constexpr std::size_t kMaxSteps = 1U << 16U;

Error too_many_numbers() {
    return {.kind = ErrorKind::kConfig,
            .what = "more numbers than this host shows",
            .hint = "name a part of it: members are written a.b"};
}

bool is_number(const Storage& storage) {
    return storage.kind != StorageKind::kText && storage.kind != StorageKind::kEnum;
}

// Whether one dotted path is the other, or leads there: "debug" leads to "debug.level".
bool leads_to(std::string_view path, std::string_view goal) {
    return path.empty() || path == goal || (goal.starts_with(path) && goal[path.size()] == '.');
}

class NumberCollector {
public:
    // `home` and `container` are `model`'s.
    NumberCollector(const BtfView& btf, StatisticDeclaration model, std::vector<StatisticDeclaration>& out)
        : btf_(btf)
        , walk_(btf, kMaxSteps, too_many_numbers())
        , model_(std::move(model))
        , out_(out) {}

    // The numbers of what is called `name`; `path` is the way from there to the member meant, empty for all.
    Result<> collect(const std::string& name, std::uint32_t type_id, std::uint32_t offset, std::string_view path) {
        return walk_.walk({.type_id = type_id, .offset = offset},
                          [&](const TypePlace& place, const ResolvedType& type) -> Result<WalkOn> {
                              const bool is_within = leads_to(path, place.path);
                              if (place.is_bit_field || (!is_within && !leads_to(place.path, path)))
                                  return WalkOn::kNowhere;
                              if (btf_is_struct(type.type))
                                  return WalkOn::kIntoParts;
                              const std::optional<Storage> storage = btf_.storage(place.type_id);
                              if (!storage)
                                  return WalkOn::kIntoParts;
                              if (is_within)
                                  SCXHOST_TRY(add(place.path.empty() ? name : fmt::format("{}.{}", name, place.path),
                                                  *storage, place.offset));
                              return WalkOn::kNowhere;
                          });
    }

    Result<> collect_map(const PerCpuMapType& map, std::string_view path) {
        if (map.value_type_id == 0)
            return collect_untyped(map, path);
        if (!btf_.storage(map.value_type_id) || map.entries == 1)
            return collect(map.name, map.value_type_id, 0, path);
        for (std::uint32_t i = 0; i < map.entries; ++i) {
            model_.entry = i;
            SCXHOST_TRY(collect(fmt::format("{}[{}]", map.name, i), map.value_type_id, 0, path));
        }
        return {};
    }

private:
    // Declared with value_size alone, as in the kernel's own examples: nobody can tell more than the width.
    Result<> collect_untyped(const PerCpuMapType& map, std::string_view path) {
        if (!path.empty() || (map.value_size != 4 && map.value_size != 8))
            return {};
        const Storage number{
            .kind = StorageKind::kInteger, .width = map.value_size, .count = 1, .is_signed = false, .enumerators = {}};
        for (std::uint32_t i = 0; i < map.entries; ++i) {
            model_.entry = i;
            SCXHOST_TRY(add(map.entries == 1 ? map.name : fmt::format("{}[{}]", map.name, i), number, 0));
        }
        return {};
    }

    Result<> add(const std::string& name, const Storage& storage, std::uint32_t offset) {
        if (!is_number(storage))
            return {};
        if (storage.kind != StorageKind::kIntegers)
            return add_number(name, storage, offset);
        for (std::uint32_t i = 0; i < storage.count && std::uint64_t{i} * storage.width <= UINT32_MAX - offset; ++i)
            SCXHOST_TRY(add_number(fmt::format("{}[{}]", name, i), storage, offset + i * storage.width));
        return {};
    }

    Result<> add_number(const std::string& name, const Storage& storage, std::uint32_t offset) {
        SCXHOST_TRY(walk_.step());
        if (offset % storage.width != 0)
            return {}; // of a packed struct: no single access reads it
        const auto known = places_.find(name);
        if (known != places_.end()) {
            StatisticDeclaration& statistic = out_[known->second];
            if (statistic.width == storage.width)
                statistic.offsets.push_back(offset);
            return {};
        }
        if (out_.size() >= kMaxDeclarations)
            return fail(too_many_numbers());
        StatisticDeclaration statistic = model_;
        statistic.name = name;
        statistic.kind =
            storage.is_signed || storage.kind == StorageKind::kBool ? StatisticKind::kGauge : StatisticKind::kCounter;
        statistic.offsets = {offset};
        statistic.width = storage.width;
        statistic.is_signed = storage.is_signed;
        places_.emplace(name, out_.size());
        out_.push_back(std::move(statistic));
        return {};
    }

    const BtfView& btf_;
    TypeWalk walk_;
    StatisticDeclaration model_;
    std::vector<StatisticDeclaration>& out_;
    std::map<std::string, std::size_t, std::less<>> places_; // of the names in `out_`
};

bool can_hold_statistics(const VariablePlace& variable) {
    return variable.section == kArenaSection || variable.section.starts_with(".bss") ||
           variable.section.starts_with(".data") || variable.is_read_only();
}

Result<> collect_variable(const BtfView& btf, const VariablePlace& place, std::string_view path,
                          std::vector<StatisticDeclaration>& out) {
    StatisticDeclaration model;
    model.home =
        place.section == kArenaSection ? StatisticDeclaration::Home::kArena : StatisticDeclaration::Home::kGlobal;
    model.container = place.section;
    return NumberCollector(btf, std::move(model), out).collect(place.name, place.type_id, place.offset, path);
}

Result<> collect_map(const BtfView& btf, const PerCpuMapType& map, std::string_view path,
                     std::vector<StatisticDeclaration>& out) {
    StatisticDeclaration model;
    model.home = StatisticDeclaration::Home::kPerCpuMap;
    model.container = map.name;
    return NumberCollector(btf, std::move(model), out).collect_map(map, path);
}

// What is worth naming to somebody who mistyped: what programs write and holds a number, but for what every object of
// some origin has and nobody counts with.
std::vector<std::string> worth_naming(const Declarations& declarations, const BtfView& btf,
                                      const std::vector<PerCpuMapType>& maps) {
    std::vector<std::string> names;
    for (const PerCpuMapType& map : maps) {
        std::vector<StatisticDeclaration> numbers;
        if (!collect_map(btf, map, {}, numbers) || !numbers.empty())
            names.push_back(map.name);
    }
    for (const VariablePlace& place : btf.variables()) {
        const bool is_record = declarations.exit_record && declarations.exit_record->variable.var_id == place.var_id;
        if (!can_hold_statistics(place) || place.is_read_only() || is_record)
            continue;
        std::vector<StatisticDeclaration> numbers;
        if (!collect_variable(btf, place, {}, numbers) || !numbers.empty()) // too many numbers are numbers, too
            names.push_back(place.name);
    }
    return names;
}

Error no_such_variable(const Declarations& declarations, const BtfView& btf, const std::vector<PerCpuMapType>& maps,
                       std::string_view variable) {
    const std::string_view name = variable.substr(0, variable.find('.'));
    const auto map = std::ranges::find(maps, name, &PerCpuMapType::name);
    if (map != maps.end() && map->value_type_id == 0 && map->value_size != 4 && map->value_size != 8)
        return {.kind = ErrorKind::kConfig,
                .what = fmt::format("the object has no type for the values of map '{}'", name),
                .hint = fmt::format("values of {} bytes without a type cannot be told apart; declare the map with "
                                    "__type(value, …) in the source",
                                    map->value_size)};
    if (map != maps.end() || (btf.find_variable(name) != nullptr && can_hold_statistics(*btf.find_variable(name))))
        return {.kind = ErrorKind::kConfig,
                .what = fmt::format("there is no number in '{}'", variable),
                .hint = "`scxhost inspect` shows what it holds"};
    return {.kind = ErrorKind::kConfig,
            .what = fmt::format("there is no global and no per-CPU array map '{}'", name),
            .hint = suggest_word(name, worth_naming(declarations, btf, maps), "variables")};
}

} // namespace

Result<> add_variable_statistics(Declarations& declarations, const BtfView& btf,
                                 const std::vector<PerCpuMapType>& per_cpu_maps, std::string_view variable) {
    std::vector<StatisticDeclaration> found;
    const auto path_in = [&](const std::string& name) -> std::optional<std::string_view> {
        if (name.empty() || !leads_to(name, variable))
            return std::nullopt;
        return variable.substr(std::min(variable.size(), name.size() + 1));
    };
    for (const VariablePlace& place : btf.variables())
        if (const std::optional<std::string_view> path = path_in(place.name); path && can_hold_statistics(place))
            SCXHOST_TRY(collect_variable(btf, place, *path, found));
    for (const PerCpuMapType& map : per_cpu_maps)
        if (const std::optional<std::string_view> path = path_in(map.name))
            SCXHOST_TRY(collect_map(btf, map, *path, found));
    if (found.empty())
        return fail(no_such_variable(declarations, btf, per_cpu_maps, variable));
    for (StatisticDeclaration& statistic : found) {
        // The same variable may be named twice, as a whole and a part.
        if (std::ranges::find(declarations.statistics, statistic.name, &StatisticDeclaration::name) ==
            declarations.statistics.end())
            declarations.statistics.push_back(std::move(statistic));
    }
    return {};
}

} // namespace scxhost
