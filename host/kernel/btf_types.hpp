// SPDX-License-Identifier: GPL-2.0-only
//
// Small questions about types in BTF, the kernel's or an object's: names, what a type is without its qualifiers, the
// members of a struct. The struct btf is the caller's. An object's BTF may be hostile: chains are bounded, and what a
// struct says of its members is checked against its size.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

struct btf;
struct btf_type;

namespace scxhost {

// Empty for no name, or an offset outside of the strings.
[[nodiscard]] std::string_view btf_name(const btf* types, std::uint32_t offset);

// Without typedefs and qualifiers; nullptr when there is no such type, or the chain to it has no end.
[[nodiscard]] const btf_type* resolve_btf_type(const btf* types, std::uint32_t id);

// One member of a struct or union, as it is declared.
struct BtfMember {
    std::string_view name; // empty: what it holds belongs to the struct around it
    std::uint32_t index = 0;
    std::uint32_t type_id = 0;
    std::uint32_t offset = 0; // in whole bytes
    bool is_bit_field = false;
};
// `type` is a struct or union, `index` less than the number of its members.
[[nodiscard]] BtfMember btf_member_at(const btf* types, const btf_type* type, std::uint32_t index);

// Where a member lies.
struct BtfMemberPlace {
    std::uint32_t offset = 0; // bytes
    std::uint32_t size = 0;   // bytes, not 0
    bool is_pointer = false;
};
// nullopt: there is no such member, or it does not lie within its struct in whole bytes.
[[nodiscard]] std::optional<BtfMemberPlace> find_btf_member(const btf* types, const btf_type* type,
                                                            std::string_view name);

// Members of anonymous inner structs and unions count.
[[nodiscard]] bool has_btf_member(const btf* types, const btf_type* type, std::string_view name);

} // namespace scxhost
