// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/type_walk.hpp"

#include "host/kernel/btf_types.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace scxhost {
namespace {

constexpr int kMaxDepth = 8; // nesting of structs and arrays

// Compilers put an array's qualifiers on its elements.
bool is_volatile_array(const BtfView& btf, std::uint32_t type_id) {
    for (int depth = 0; depth < kMaxDepth; ++depth) {
        const std::optional<ResolvedType> type = btf.resolve(type_id);
        if (!type)
            return false;
        if (type->is_volatile || !btf_is_array(type->type))
            return type->is_volatile;
        type_id = btf_array(type->type)->type;
    }
    return false;
}

} // namespace

TypeWalk::TypeWalk(const BtfView& btf, std::size_t max_steps, Error too_many)
    : btf_(btf)
    , steps_left_(max_steps)
    , too_many_(std::move(too_many)) {}

Result<> TypeWalk::step() {
    if (steps_left_ == 0)
        return fail(too_many_);
    --steps_left_;
    return {};
}

Result<> TypeWalk::walk(const TypePlace& start, const Visit& visit) {
    return walk(start, visit, 0);
}

Result<> TypeWalk::walk(const TypePlace& place, const Visit& visit, int depth) {
    const std::optional<ResolvedType> type = btf_.resolve(place.type_id);
    if (!type || depth > kMaxDepth)
        return {};
    SCXHOST_TRY(step());
    TypePlace here = place;
    here.is_volatile = place.is_volatile || is_volatile_array(btf_, place.type_id);
    const WalkOn on = SCXHOST_TRY(visit(here, *type));
    if (on == WalkOn::kNowhere)
        return {};
    if (btf_is_struct(type->type))
        return walk_members(here, type->id, here.is_volatile, visit, depth + 1);
    if (btf_is_array(type->type))
        return walk_elements(here, *type, on, visit, depth + 1);
    return {};
}

Result<> TypeWalk::walk_members(const TypePlace& place, std::uint32_t struct_id, bool is_volatile, const Visit& visit,
                                int depth) {
    const btf_type* type = btf__type_by_id(btf_.raw(), struct_id);
    for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
        const BtfMember member = btf_member_at(btf_.raw(), type, i);
        if (member.offset > UINT32_MAX - place.offset)
            continue;
        TypePlace next{.path = place.path,
                       .type_id = member.type_id,
                       .offset = place.offset + member.offset,
                       .is_volatile = is_volatile,
                       .is_bit_field = member.is_bit_field,
                       .struct_id = struct_id,
                       .member = static_cast<int>(i)};
        if (!member.name.empty())
            next.path += fmt::format("{}{}", next.path.empty() ? "" : ".", member.name);
        SCXHOST_TRY(walk(next, visit, depth));
    }
    return {};
}

Result<> TypeWalk::walk_elements(const TypePlace& place, const ResolvedType& array, WalkOn on, const Visit& visit,
                                 int depth) {
    const struct btf_array shape = *btf_array(array.type);
    const std::optional<std::uint32_t> size = btf_.size_of(shape.type);
    if (!size)
        return {};
    const std::uint32_t count = on == WalkOn::kIntoFirstElement ? std::min(shape.nelems, 1U) : shape.nelems;
    for (std::uint32_t i = 0; i < count && std::uint64_t{i} * *size <= UINT32_MAX - place.offset; ++i) {
        TypePlace element = place;
        element.type_id = shape.type;
        element.offset += i * *size;
        element.member = -1;
        SCXHOST_TRY(walk(element, visit, depth));
    }
    return {};
}

} // namespace scxhost
