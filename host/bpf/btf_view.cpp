// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/btf_view.hpp"

#include "host/kernel/btf_types.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>

namespace scxhost {
namespace {

// Longer chains of typedefs and qualifiers than any compiler writes: a cycle.
constexpr int kMaxChain = 64;

} // namespace

BtfView::BtfView(const btf* btf)
    : btf_(btf) {
    const std::uint32_t count = btf__type_cnt(btf_);
    for (std::uint32_t id = 1; id < count; ++id) {
        const btf_type* type = btf__type_by_id(btf_, id);
        if (btf_is_decl_tag(type))
            tags_[{type->type, btf_decl_tag(type)->component_idx}].emplace_back(name(type->name_off));
        else if (btf_is_datasec(type))
            index_section(type);
    }
}

void BtfView::index_section(const btf_type* section) {
    const std::string section_name(name(section->name_off));
    const btf_var_secinfo* entries = btf_var_secinfos(section);
    for (std::uint32_t i = 0; i < btf_vlen(section); ++i) {
        const btf_type* entry = btf__type_by_id(btf_, entries[i].type);
        if (entry == nullptr)
            continue;
        if (btf_is_var(entry))
            variables_.push_back({.section = section_name,
                                  .name = std::string(name(entry->name_off)),
                                  .offset = entries[i].offset,
                                  .size = entries[i].size,
                                  .var_id = entries[i].type,
                                  .type_id = entry->type});
    }
}

bool BtfView::has_function(const std::string& wanted) const {
    return btf__find_by_name_kind(btf_, wanted.c_str(), BTF_KIND_FUNC) > 0;
}

std::optional<ResolvedType> BtfView::resolve(std::uint32_t id) const {
    ResolvedType result;
    for (int step = 0; step < kMaxChain; ++step) {
        const btf_type* type = btf__type_by_id(btf_, id);
        if (type == nullptr)
            return std::nullopt;
        result.is_const = result.is_const || btf_is_const(type);
        result.is_volatile = result.is_volatile || btf_is_volatile(type);
        if (!btf_is_mod(type) && !btf_is_typedef(type)) {
            result.id = id;
            result.type = type;
            return result;
        }
        id = type->type;
    }
    return std::nullopt;
}

std::string_view BtfView::name(std::uint32_t offset) const {
    return btf_name(btf_, offset);
}

std::optional<std::uint32_t> BtfView::size_of(std::uint32_t id) const {
    const std::int64_t size = btf__resolve_size(btf_, id);
    if (size < 0 || size > UINT32_MAX)
        return std::nullopt;
    return static_cast<std::uint32_t>(size);
}

std::optional<Storage> BtfView::storage(std::uint32_t id) const {
    const std::optional<ResolvedType> resolved = resolve(id);
    if (!resolved)
        return std::nullopt;
    const btf_type* type = resolved->type;
    const auto is_width = [](std::uint32_t size) { return size == 1 || size == 2 || size == 4 || size == 8; };

    if (btf_is_int(type)) {
        // Bit fields and 128-bit integers are nobody's option.
        if (!is_width(type->size) || btf_int_bits(type) != type->size * 8 || btf_int_offset(type) != 0)
            return std::nullopt;
        const bool is_bool = (btf_int_encoding(type) & BTF_INT_BOOL) != 0;
        return Storage{.kind = is_bool ? StorageKind::kBool : StorageKind::kInteger,
                       .width = type->size,
                       .count = 1,
                       .is_signed = (btf_int_encoding(type) & BTF_INT_SIGNED) != 0,
                       .enumerators = {}};
    }
    if (btf_is_enum(type) || btf_is_enum64(type)) {
        if (!is_width(type->size))
            return std::nullopt;
        Storage result{.kind = StorageKind::kEnum,
                       .width = type->size,
                       .count = 1,
                       .is_signed = btf_kflag(type),
                       .enumerators = {}};
        for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
            if (btf_is_enum(type))
                // The value's bits are stored as signed, whatever the enum is.
                result.enumerators.emplace_back(name(btf_enum(type)[i].name_off),
                                                result.is_signed
                                                    ? std::int64_t{btf_enum(type)[i].val}
                                                    : std::int64_t{static_cast<std::uint32_t>(btf_enum(type)[i].val)});
            else
                result.enumerators.emplace_back(name(btf_enum64(type)[i].name_off),
                                                static_cast<std::int64_t>(btf_enum64_value(&btf_enum64(type)[i])));
        }
        return result;
    }
    if (btf_is_array(type)) {
        const struct btf_array* array = btf_array(type);
        const std::optional<ResolvedType> element = resolve(array->type);
        if (!element || !btf_is_int(element->type))
            return std::nullopt;
        std::optional<Storage> result = storage(array->type);
        if (!result || array->nelems == 0 || array->nelems > UINT32_MAX / result->width)
            return std::nullopt;
        // gcc and clang encode char without BTF_INT_CHAR; the name tells it from int8_t.
        const bool is_text = result->width == 1 && name(element->type->name_off) == "char";
        result->kind = is_text ? StorageKind::kText : StorageKind::kIntegers;
        result->count = array->nelems;
        return result;
    }
    return std::nullopt;
}

std::optional<Storage> BtfView::option_storage(std::uint32_t id) const {
    const std::optional<ResolvedType> resolved = resolve(id);
    if (!resolved || !btf_is_array(resolved->type))
        return storage(id);
    const struct btf_array* array = btf_array(resolved->type);
    const std::optional<ResolvedType> row = resolve(array->type);
    if (!row || !btf_is_array(row->type))
        return storage(id);
    std::optional<Storage> result = storage(array->type);
    if (!result || result->kind != StorageKind::kIntegers || array->nelems == 0 ||
        array->nelems > UINT32_MAX / result->bytes())
        return std::nullopt;
    result->rows = array->nelems;
    result->count *= array->nelems;
    return result;
}

std::string BtfView::describe(std::uint32_t id) const {
    const std::optional<ResolvedType> resolved = resolve(id);
    if (!resolved)
        return "an unreadable type";
    const btf_type* type = resolved->type;
    if (btf_is_array(type)) {
        const std::optional<ResolvedType> element = resolve(btf_array(type)->type);
        const std::string element_name =
            element && !btf_is_array(element->type) ? describe(element->id) : std::string("array");
        return fmt::format("{}[{}]", element_name, btf_array(type)->nelems);
    }
    if (btf_is_ptr(type))
        return "a pointer";
    const std::string_view type_name = name(type->name_off);
    if (btf_is_struct(type))
        return fmt::format("struct {}", type_name);
    if (btf_is_union(type))
        return fmt::format("union {}", type_name);
    if (btf_is_any_enum(type))
        return fmt::format("enum {}", type_name);
    return std::string(type_name);
}

std::span<const std::string> BtfView::tags(std::uint32_t id, int component) const {
    const auto found = tags_.find({id, component});
    return found == tags_.end() ? std::span<const std::string>() : std::span(found->second);
}

bool BtfView::has_member_tags(std::uint32_t struct_id) const {
    const auto found = tags_.lower_bound({struct_id, 0});
    return found != tags_.end() && found->first.first == struct_id;
}

const VariablePlace* BtfView::find_variable(std::string_view wanted) const {
    const auto found = std::ranges::find(variables_, wanted, &VariablePlace::name);
    return found == variables_.end() ? nullptr : &*found;
}

} // namespace scxhost
