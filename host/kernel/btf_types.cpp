// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/btf_types.hpp"

#include <bpf/btf.h>

namespace scxhost {
namespace {

// Longer chains of typedefs and qualifiers than any compiler writes: a cycle. The same for nested structs.
constexpr int kMaxChain = 64;

bool has_member_within(const btf* types, const btf_type* type, std::string_view name, int depth) {
    for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
        const BtfMember member = btf_member_at(types, type, i);
        if (member.name == name)
            return true;
        if (!member.name.empty() || depth >= kMaxChain)
            continue;
        const btf_type* inner = resolve_btf_type(types, member.type_id);
        if (inner != nullptr && btf_is_composite(inner) && has_member_within(types, inner, name, depth + 1))
            return true;
    }
    return false;
}

} // namespace

std::string_view btf_name(const btf* types, std::uint32_t offset) {
    const char* name = btf__name_by_offset(types, offset);
    return name == nullptr ? std::string_view() : std::string_view(name);
}

const btf_type* resolve_btf_type(const btf* types, std::uint32_t id) {
    for (int step = 0; step < kMaxChain; ++step) {
        const btf_type* type = btf__type_by_id(types, id);
        if (type == nullptr || (!btf_is_mod(type) && !btf_is_typedef(type)))
            return type;
        id = type->type;
    }
    return nullptr;
}

BtfMember btf_member_at(const btf* types, const btf_type* type, std::uint32_t index) {
    const btf_member& member = btf_members(type)[index];
    return {.name = btf_name(types, member.name_off),
            .index = index,
            .type_id = member.type,
            .offset = btf_member_bit_offset(type, index) / 8,
            .is_bit_field = btf_member_bitfield_size(type, index) != 0};
}

std::optional<BtfMemberPlace> find_btf_member(const btf* types, const btf_type* type, std::string_view name) {
    for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
        const BtfMember member = btf_member_at(types, type, i);
        if (member.name != name)
            continue;
        const std::int64_t size = btf__resolve_size(types, member.type_id);
        const btf_type* resolved = resolve_btf_type(types, member.type_id);
        if (resolved == nullptr || size <= 0 || member.is_bit_field || size > type->size ||
            member.offset > type->size - size)
            return std::nullopt;
        return BtfMemberPlace{member.offset, static_cast<std::uint32_t>(size), btf_is_ptr(resolved)};
    }
    return std::nullopt;
}

bool has_btf_member(const btf* types, const btf_type* type, std::string_view name) {
    return has_member_within(types, type, name, 0);
}

} // namespace scxhost
