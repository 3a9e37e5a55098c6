// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/plain_options.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

namespace scxhost {
namespace {

// A larger array is a table that the scheduler reads, and its text would be, too.
constexpr std::uint32_t kMaxPlainBytes = 256U << 10U;

std::string full_name(const VariablePlace& variable, const TypePlace& place) {
    return place.path.empty() ? variable.name : fmt::format("{}.{}", variable.name, place.path);
}

// What keeps an array from being an option, which btf.option_storage() has refused.
std::string_view array_obstacle(const BtfView& btf, const ResolvedType& array) {
    std::optional<ResolvedType> element = btf.resolve(btf_array(array.type)->type);
    if (element && btf_is_array(element->type)) {
        element = btf.resolve(btf_array(element->type)->type);
        if (element && btf_is_array(element->type))
            return "is an array of more than two dimensions";
        if (element && btf_is_int(element->type))
            return "is an array of texts";
    }
    if (element && btf_is_struct(element->type))
        return "is an array of structs";
    if (element && btf_is_ptr(element->type))
        return "is an array of pointers";
    return "is an array of something else than integers";
}

// Why a place is no option, as a half-sentence; empty: it is one.
std::string obstacle(const BtfView& btf, const TypePlace& place, const ResolvedType& type) {
    if (place.is_bit_field)
        return "is a bit field";
    if (btf_is_ptr(type.type))
        return "is a pointer";
    if (btf_is_union(type.type))
        return "is a union";
    if (btf_is_struct(type.type))
        return "is a struct";
    if (!place.is_volatile)
        return "is const without volatile, so that the compiler may have used its value already";
    const std::optional<Storage> storage = btf.option_storage(place.type_id);
    if (!storage)
        return btf_is_array(type.type) ? std::string(array_obstacle(btf, type)) : "is of a type that no option has";
    if (storage->bytes() > kMaxPlainBytes)
        return fmt::format("has {} bytes, and an option at most {}", storage->bytes(), kMaxPlainBytes);
    if (storage->kind == StorageKind::kEnum && storage->enumerators.empty())
        return "is an enum without enumerators";
    return {};
}

OptionDeclaration plain_option(const BtfView& btf, const VariablePlace& variable, const TypePlace& place) {
    OptionDeclaration option;
    option.variable = variable;
    option.variable.name = full_name(variable, place);
    option.variable.type_id = place.type_id;
    if (place.member >= 0) {
        option.variable.offset += place.offset;
        option.variable.size = btf.size_of(place.type_id).value_or(0);
    }
    option.key = option.variable.name;
    option.storage = *btf.option_storage(place.type_id);
    option.kind = plain_kind(option.storage.kind);
    // No prefix is declared that could be left out: the words are the names as the source has them.
    for (const auto& [name, value] : option.storage.enumerators)
        option.words.push_back(name);
    return option;
}

// The rest of `key` behind a variable's name, when it is that variable or a member of it.
std::optional<std::string_view> path_within(std::string_view key, std::string_view variable) {
    if (key == variable)
        return std::string_view();
    if (key.starts_with(variable) && key[variable.size()] == '.')
        return key.substr(variable.size() + 1);
    return std::nullopt;
}

NoOption why_not(const BtfView& btf, const TypePlace& place, const ResolvedType& type, std::string_view key) {
    if (btf_is_struct(type.type))
        return {.why = "is a struct", .hint = fmt::format("set its members, as in {}.MEMBER", key)};
    std::string why = obstacle(btf, place, type);
    if (why.empty())
        return {.why = "stands for several variables", .hint = "rename all but one of them in the source"};
    return {.why = std::move(why),
            .hint = "options are `const volatile` integers, truth values, enums, texts, and arrays of integers"};
}

} // namespace

Result<> add_plain_options(const BtfView& btf, TypeWalk& walk, const VariablePlace& variable,
                           std::vector<OptionDeclaration>& out) {
    return walk.walk({.type_id = variable.type_id},
                     [&](const TypePlace& place, const ResolvedType& type) -> Result<WalkOn> {
                         if (btf_is_struct(type.type) && !place.is_bit_field)
                             return WalkOn::kIntoParts;
                         if (!obstacle(btf, place, type).empty() || !is_option_key(full_name(variable, place)) ||
                             place.offset > UINT32_MAX - variable.offset)
                             return WalkOn::kNowhere;
                         if (out.size() >= kMaxDeclarations)
                             return fail(too_many_options());
                         out.push_back(plain_option(btf, variable, place));
                         return WalkOn::kNowhere;
                     });
}

void drop_ambiguous_options(std::vector<OptionDeclaration>& options) {
    std::map<std::string, int, std::less<>> times;
    for (const OptionDeclaration& option : options)
        ++times[option.key];
    std::erase_if(options, [&](const OptionDeclaration& option) { return times[option.key] > 1; });
}

std::optional<NoOption> why_no_option(const BtfView& btf, const Declarations& declared, std::string_view key) {
    for (const OptionDeclaration& option : declared.options)
        if (option.tagged && option.variable.name == key)
            return NoOption{.why = "is the variable of an option with another name",
                            .hint = fmt::format("set {}", option.key)};
    for (const VariablePlace& variable : btf.variables()) {
        const std::optional<std::string_view> path = path_within(key, variable.name);
        if (!path)
            continue;
        const std::optional<ExitRecordPlace>& record = declared.exit_record;
        if (!kernel_enumerator(variable).empty() ||
            (record && record->dump_length && record->dump_length->var_id == variable.var_id))
            return NoOption{.why = "is filled in by the host", .hint = {}};
        if (!variable.is_read_only())
            return NoOption{.why = fmt::format("is in {}, and only read-only data can be an option", variable.section),
                            .hint = "declare it `const volatile` in the source"};
        if (!declared.options.empty() && declared.options.front().tagged)
            return NoOption{.why = "is not declared as one, and the object declares its options", .hint = {}};
        std::optional<NoOption> found;
        // A fault of the walk has been told when the object was opened.
        (void)TypeWalk(btf, kMaxTypeSteps, {})
            .walk({.type_id = variable.type_id},
                  [&](const TypePlace& place, const ResolvedType& type) -> Result<WalkOn> {
                      if (place.path == *path && !found)
                          found = why_not(btf, place, type, key);
                      return btf_is_struct(type.type) && !found ? WalkOn::kIntoParts : WalkOn::kNowhere;
                  });
        if (found)
            return found;
    }
    return std::nullopt;
}

} // namespace scxhost
