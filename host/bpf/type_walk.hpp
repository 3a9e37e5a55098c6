// SPDX-License-Identifier: GPL-2.0-only
//
// One walk over the type of a variable or map value: from it to the members of structs and the elements of arrays.
// What is looked for (options, tagged statistics, plain numbers) is the visitor's. The types may be a hostile object's:
// depth and steps are bounded.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/btf_view.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace scxhost {

// Where the walk is.
struct TypePlace {
    std::string path = {};     // dotted names of members from the start on; elements have their array's
    std::uint32_t type_id = 0; // modifiers included
    std::uint32_t offset = 0;  // bytes
    bool is_volatile = false;  // it, what is around it or, of an array, its elements
    bool is_bit_field = false;
    std::uint32_t struct_id = 0; // of a member: its struct and its number there, which declaration tags go by
    int member = -1;             // -1: no member
};

// Where to go from a place.
enum class WalkOn { kNowhere, kIntoParts, kIntoFirstElement }; // of a struct the last two mean all its members

class TypeWalk {
public:
    // May keep nothing of its arguments. Its error ends the walk.
    using Visit = std::function<Result<WalkOn>(const TypePlace&, const ResolvedType&)>;

    // `too_many` is the error when the walks of this object together take more than `max_steps`.
    TypeWalk(const BtfView& btf, std::size_t max_steps, Error too_many);

    // Visits `start`, then what the visitor wants to see of its parts, in the order of declaration.
    Result<> walk(const TypePlace& start, const Visit& visit);

    // Counts steps that a visitor takes on its own.
    Result<> step();

private:
    Result<> walk(const TypePlace& place, const Visit& visit, int depth);
    Result<> walk_members(const TypePlace& place, std::uint32_t struct_id, bool is_volatile, const Visit& visit,
                          int depth);
    Result<> walk_elements(const TypePlace& place, const ResolvedType& array, WalkOn on, const Visit& visit, int depth);

    const BtfView& btf_;
    std::size_t steps_left_;
    Error too_many_;
};

} // namespace scxhost
