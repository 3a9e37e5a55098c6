// SPDX-License-Identifier: GPL-2.0-only
//
// The struct_ops map that is the scheduler: which of an object's it is, and the members of its value before load.
#pragma once

#include "host/base/result.hpp"
#include "host/kernel/btf_types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct bpf_map;
struct bpf_object;
struct btf;
struct btf_type;

namespace scxhost {

// The types of struct_ops that make a scheduler: by CPU number, and by topological id (the cid form, from 7.2).
inline constexpr std::string_view kOpsType = "sched_ext_ops";
inline constexpr std::string_view kCidOpsType = "sched_ext_ops_cid";

class StructOpsMap {
public:
    // Chooses among the maps of `object`, which must outlive this: the one called `wanted`, or, without a name, the
    // only one. Both forms of one scheduler, under one name, are no contradiction: by CPU number is then taken first.
    // The others will not be created. Errors: kObject.
    static Result<StructOpsMap> choose(bpf_object* object, const std::string& object_name, const std::string& wanted);

    [[nodiscard]] bpf_map* map() const { return map_; }
    [[nodiscard]] std::string name() const;
    // kOpsType or kCidOpsType.
    [[nodiscard]] std::string_view type_name() const;

    // Takes the cid form, if there is a choice. False: there is none.
    bool take_cid_form();

    // Members by name, before load. Errors: kObject when there is no number of this name; kConfig when the value does
    // not fit; kInternal for what is to be cleared and is not there.
    [[nodiscard]] std::optional<BtfMemberPlace> find(std::string_view member) const;
    [[nodiscard]] Result<std::uint64_t> number(std::string_view member) const;
    Result<> set_number(std::string_view member, std::uint64_t value);
    Result<> clear(std::string_view member); // data or callback
    // Those that are not zero, callbacks included.
    [[nodiscard]] std::vector<std::string> members_set() const;

    // Gives it the name that the kernel will show: its own, or `otherwise` when it has none, shortened, and `suffix`.
    // Returns it. Errors: kObject.
    Result<std::string> set_scheduler_name(const std::string& otherwise, const std::string& suffix);

private:
    StructOpsMap(bpf_object* object, std::string object_name);
    void take(bpf_map* map);
    [[nodiscard]] const btf* types() const;
    [[nodiscard]] const btf_type* type() const;
    [[nodiscard]] std::byte* bytes() const;
    [[nodiscard]] std::string scheduler_name() const; // as it was built; empty: none

    bpf_object* object_;
    std::string object_name_;
    bpf_map* map_ = nullptr;
    bpf_map* cid_map_ = nullptr; // the same scheduler in the cid form, when there is a choice
    std::uint32_t type_id_ = 0;
};

// What the kernel takes in the name of a struct_ops or an object: anything else becomes '_'.
[[nodiscard]] std::string kernel_name(std::string_view name);

} // namespace scxhost
