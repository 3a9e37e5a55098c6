// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/typed_value.hpp"

#include "host/base/suggest.hpp"
#include "host/base/units.hpp"
#include "host/bpf/option_value.hpp"
#include "host/bpf/type_walk.hpp"
#include "host/kernel/btf_types.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace scxhost {
namespace {

constexpr int kMaxDepth = 16; // of a path, unnamed structs and unions included
constexpr std::size_t kMaxParts = 256;

struct Place {
    std::uint32_t type_id = 0;
    std::uint32_t offset = 0;
};

// "a.b.c" into "a" and "b.c".
std::pair<std::string_view, std::string_view> split(std::string_view path) {
    const std::size_t dot = path.find('.');
    return {path.substr(0, dot), dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1)};
}

// How far a path is followed: a hostile object's types could keep the search busy for ever.
struct Search {
    int depth = 0;
    std::size_t* steps = nullptr; // left

    [[nodiscard]] Search deeper() const { return {depth + 1, steps}; }
};

std::expected<Place, NoOption> find_place(const BtfView& btf, Place from, std::string_view path, Search search);

// Unnamed structs and unions count as their members. nullopt: none has this name.
std::optional<std::expected<Place, NoOption>> find_member(const BtfView& btf, Place from, std::uint32_t struct_id,
                                                          std::string_view path, Search search) {
    const auto [name, rest] = split(path);
    for (std::uint32_t i = 0; i < btf_vlen(btf__type_by_id(btf.raw(), struct_id)); ++i) {
        if (*search.steps == 0)
            return std::unexpected(NoOption{.why = "is in types of too many members", .hint = {}});
        --*search.steps;
        const BtfMember member = btf_member_at(btf.raw(), btf__type_by_id(btf.raw(), struct_id), i);
        const Place place{.type_id = member.type_id, .offset = from.offset + member.offset};
        if (member.name.empty() && search.depth < kMaxDepth) {
            const std::optional<ResolvedType> inner = btf.resolve(member.type_id);
            if (inner && btf_is_composite(inner->type))
                if (auto found = find_member(btf, place, inner->id, path, search.deeper()))
                    return found;
        }
        if (member.name != name)
            continue;
        if (member.is_bit_field)
            return std::unexpected(NoOption{.why = "is a bit field", .hint = {}});
        return find_place(btf, place, rest, search.deeper());
    }
    return std::nullopt;
}

std::expected<Place, NoOption> find_element(const BtfView& btf, Place from, std::uint32_t array_id,
                                            std::string_view path, Search search) {
    const auto [index, rest] = split(path);
    const struct btf_array array = *btf_array(btf__type_by_id(btf.raw(), array_id));
    const std::optional<std::uint32_t> size = btf.size_of(array.type);
    const Result<std::int64_t> number = parse_integer(index, 0);
    if (!number || !size || static_cast<std::uint64_t>(*number) >= array.nelems)
        return std::unexpected(NoOption{.why = fmt::format("is no element of an array of {}", array.nelems),
                                        .hint = "elements are numbered from 0"});
    return find_place(btf, {array.type, from.offset + static_cast<std::uint32_t>(*number) * *size}, rest,
                      search.deeper());
}

std::expected<Place, NoOption> find_place(const BtfView& btf, Place from, std::string_view path, Search search) {
    if (path.empty())
        return from;
    const std::optional<ResolvedType> type = btf.resolve(from.type_id);
    if (!type || search.depth >= kMaxDepth)
        return std::unexpected(NoOption{.why = "is of a type that cannot be read", .hint = {}});
    if (btf_is_array(type->type))
        return find_element(btf, from, type->id, path, search);
    if (!btf_is_composite(type->type))
        return std::unexpected(
            NoOption{.why = fmt::format("is no member of {}, which has none", btf.describe(from.type_id)), .hint = {}});
    const std::string owner = btf.describe(from.type_id);
    if (auto found = find_member(btf, from, type->id, path, search))
        return *found;
    return std::unexpected(NoOption{
        .why = fmt::format("is no member of {}", owner),
        .hint = suggest_word(split(path).first, settable_parts(btf, type->id), "members"),
    });
}

OptionDeclaration plain_number(std::uint32_t bytes) {
    OptionDeclaration option;
    option.storage = {
        .kind = StorageKind::kInteger, .width = bytes, .count = 1, .rows = 1, .is_signed = false, .enumerators = {}};
    option.variable.size = bytes;
    return option;
}

bool is_number_size(std::size_t bytes) {
    return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

// The fact for one CPU where it has one number for each. "preferred" is an order of CPUs and says nothing of one.
MachineFact fact_for(MachineFact fact, std::optional<std::uint32_t> cpu, const OptionDeclaration& part) {
    if (!cpu || !fact.is_per_cpu() || part.kind == OptionKind::kIntegers || fact.name == "preferred")
        return fact;
    const PerCpu& numbers = std::get<PerCpu>(fact.value);
    if (*cpu < numbers.size()) {
        const std::int64_t of_this_one = numbers[*cpu];
        fact.value = of_this_one;
    }
    return fact;
}

} // namespace

std::expected<OptionDeclaration, NoOption> find_part(const BtfView& btf, std::uint32_t type_id, std::string_view path) {
    std::size_t steps = kMaxTypeSteps;
    const std::expected<Place, NoOption> place = find_place(btf, {.type_id = type_id}, path, {.steps = &steps});
    if (!place)
        return std::unexpected(place.error());
    const std::optional<ResolvedType> type = btf.resolve(place->type_id);
    const std::optional<Storage> storage = btf.option_storage(place->type_id);
    if (!storage || !type) {
        NoOption no{.why = fmt::format("is {}, and no number, truth value, enum, text or array of integers",
                                       btf.describe(place->type_id)),
                    .hint = {}};
        if (type && btf_is_composite(type->type))
            no.hint = "set its members, each by its name";
        return std::unexpected(std::move(no));
    }
    OptionDeclaration part;
    part.storage = *storage;
    part.kind = plain_kind(storage->kind);
    part.variable.offset = place->offset;
    part.variable.size = storage->bytes();
    part.variable.type_id = place->type_id;
    for (const auto& [name, value] : storage->enumerators)
        part.words.push_back(name);
    return part;
}

std::vector<std::string> settable_parts(const BtfView& btf, std::uint32_t type_id) {
    std::vector<std::string> parts;
    (void)TypeWalk(btf, kMaxTypeSteps, {})
        .walk({.type_id = type_id}, [&](const TypePlace& place, const ResolvedType& type) -> Result<WalkOn> {
            if (parts.size() >= kMaxParts || place.is_bit_field)
                return WalkOn::kNowhere;
            if (btf_is_struct(type.type))
                return WalkOn::kIntoParts;
            if (btf.option_storage(place.type_id))
                parts.push_back(place.path);
            return WalkOn::kNowhere;
        });
    return parts;
}

Result<StoredPart> store_part(const BtfView& btf, const TypedValue& into, std::string_view path, const Setting& setting,
                              const MachineFacts& machine, std::optional<std::uint32_t> cpu) {
    const auto find = [&](std::string_view wanted) -> std::expected<OptionDeclaration, NoOption> {
        if (into.type_id != 0)
            return find_part(btf, into.type_id, wanted);
        if (!wanted.empty() || !is_number_size(into.bytes.size()))
            return std::unexpected(NoOption{
                .why = fmt::format("cannot be told: the object says only that there are {} bytes", into.bytes.size()),
                .hint = {}});
        return plain_number(static_cast<std::uint32_t>(into.bytes.size()));
    };
    std::expected<OptionDeclaration, NoOption> part = find(path);
    std::optional<std::string_view> target;
    if (!part) {
        target = path == "machine" ? std::optional<std::string_view>("") : machine_target(path);
        // What is wrong with the place itself says more than that it has no member of this name.
        if (target)
            part = find(*target);
    }
    if (!part) {
        Error error = setting.error(fmt::format("it {}", part.error().why), part.error().hint);
        error.where = setting.key_where;
        return fail(std::move(error));
    }
    part->key = target ? setting.key.substr(0, setting.key.size() - std::string_view(".machine").size()) : setting.key;
    if (std::uint64_t{part->variable.offset} + part->storage.bytes() > into.bytes.size())
        return fail(setting.error("it lies outside of its value: the object's types contradict each other"));
    const std::span<std::byte> raw = into.bytes.subspan(part->variable.offset, part->storage.bytes());
    if (target) {
        const MachineFact fact = SCXHOST_TRY(machine.find(setting));
        SCXHOST_TRY(store_fact(*part, setting, fact_for(fact, cpu, *part), raw));
    } else if (const auto* text = std::get_if<std::string>(&setting.value);
               cpu && text != nullptr && (*text == kEachCpu || *text == kEachOnlineCpu)) {
        Setting number = setting;
        number.value = std::int64_t{*cpu};
        number.typed.reset();
        SCXHOST_TRY(store_option(*part, number, raw));
    } else {
        SCXHOST_TRY(store_option(*part, setting, raw));
    }
    return StoredPart{.path = std::string(target.value_or(path)),
                      .offset = part->variable.offset,
                      .bytes = part->storage.bytes(),
                      .text = format_option(*part, raw)};
}

} // namespace scxhost
