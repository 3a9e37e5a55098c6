// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/struct_ops_map.hpp"

#include "host/base/suggest.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

namespace scxhost {
namespace {

constexpr std::size_t kOpsNameMax = 128; // SCX_OPS_NAME_LEN, terminator included

std::string_view struct_name(const btf* types, const bpf_map* map) {
    const btf_type* type = resolve_btf_type(types, bpf_map__btf_value_type_id(map));
    return type == nullptr ? std::string_view() : btf_name(types, type->name_off);
}

} // namespace

// The kernel takes letters, digits, '_' and '.' in a struct_ops' name (bpf_obj_name_cpy in 7.3.4).
std::string kernel_name(std::string_view name) {
    std::string result(name);
    std::ranges::replace_if(
        result,
        [](unsigned char c) {
            return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                     c == '.');
        },
        '_');
    return result;
}

StructOpsMap::StructOpsMap(bpf_object* object, std::string object_name)
    : object_(object)
    , object_name_(std::move(object_name)) {}

Result<StructOpsMap> StructOpsMap::choose(bpf_object* object, const std::string& object_name,
                                          const std::string& wanted) {
    StructOpsMap result(object, object_name);
    std::vector<std::string> found;
    bpf_map* chosen = nullptr;
    bpf_map* map = nullptr;
    std::array<bpf_map*, 2> forms = {}; // by CPU number, by cid
    bpf_object__for_each_map(map, object) {
        if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
            continue;
        const std::string_view type_name = struct_name(result.types(), map);
        if (type_name != kOpsType && type_name != kCidOpsType)
            continue;
        forms[type_name == kCidOpsType ? 1 : 0] = map;
        found.emplace_back(bpf_map__name(map));
        if (wanted.empty() || wanted == found.back())
            chosen = map;
    }
    const auto name_of = [&result](bpf_map* form) {
        result.take(form);
        return result.scheduler_name();
    };
    const bool two_forms = wanted.empty() && found.size() == 2 && forms[0] != nullptr && forms[1] != nullptr &&
                           name_of(forms[0]) == name_of(forms[1]);
    if (two_forms) {
        chosen = forms[0];
        result.cid_map_ = forms[1];
    }
    if (found.empty())
        return fail(ErrorKind::kObject, fmt::format("'{}' is no sched_ext scheduler: it has no struct_ops map of type "
                                                    "sched_ext_ops",
                                                    object_name));
    if (chosen == nullptr)
        return fail(ErrorKind::kObject, fmt::format("'{}' has no struct_ops map '{}'", object_name, wanted),
                    suggest_word(wanted, found, "struct_ops maps"));
    if (wanted.empty() && found.size() > 1 && !two_forms)
        return fail(
            ErrorKind::kObject,
            fmt::format("'{}' has {} struct_ops maps: {}", object_name, found.size(), list_words(found, "and")),
            fmt::format("choose one with struct_ops = \"{0}\", or --set scheduler.struct_ops={0}", found.front()));
    result.take(chosen);
    return result;
}

// Only the chosen scheduler goes into the kernel.
void StructOpsMap::take(bpf_map* chosen) {
    map_ = chosen;
    type_id_ = bpf_map__btf_value_type_id(chosen);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object_) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
            bpf_map__set_autocreate(map, map == map_);
    }
    // A struct_ops without a link could be detached only by deleting its map element, and would outlive the host.
    bpf_map__set_map_flags(map_, bpf_map__map_flags(map_) | BPF_F_LINK);
}

bool StructOpsMap::take_cid_form() {
    if (cid_map_ == nullptr)
        return false;
    take(cid_map_);
    return true;
}

std::string StructOpsMap::name() const {
    return bpf_map__name(map_);
}

std::string_view StructOpsMap::type_name() const {
    return struct_name(types(), map_);
}

// Looked up anew each time: libbpf moves its types when a map is resized.
const btf* StructOpsMap::types() const {
    return bpf_object__btf(object_);
}

const btf_type* StructOpsMap::type() const {
    return resolve_btf_type(types(), type_id_);
}

std::byte* StructOpsMap::bytes() const {
    return static_cast<std::byte*>(bpf_map__initial_value(map_, nullptr));
}

std::optional<BtfMemberPlace> StructOpsMap::find(std::string_view member) const {
    return find_btf_member(types(), type(), member);
}

std::string StructOpsMap::scheduler_name() const {
    const std::optional<BtfMemberPlace> member = find("name");
    if (!member || member->is_pointer)
        return {};
    const char* text = reinterpret_cast<const char*>(bytes() + member->offset);
    return {text, ::strnlen(text, member->size)};
}

std::vector<std::string> StructOpsMap::members_set() const {
    std::vector<std::string> result;
    for (std::uint32_t i = 0; i < btf_vlen(type()); ++i) {
        const std::string_view name = btf_member_at(types(), type(), i).name;
        const std::optional<BtfMemberPlace> member = find(name);
        if (!member)
            continue;
        const std::span content(bytes() + member->offset, member->size);
        if (std::ranges::any_of(content, [](std::byte b) { return b != std::byte{0}; }))
            result.emplace_back(name);
    }
    return result;
}

Result<> StructOpsMap::set_number(std::string_view name, std::uint64_t value) {
    const std::optional<BtfMemberPlace> member = find(name);
    if (!member || member->is_pointer || member->size > sizeof value)
        return fail(ErrorKind::kObject,
                    fmt::format("the sched_ext_ops of '{}' has no number '{}'", object_name_, name));
    if (member->size < sizeof value && value >> (member->size * 8U) != 0)
        return fail(ErrorKind::kConfig,
                    fmt::format("{} does not fit into '{}', which has {} bits", value, name, member->size * 8));
    std::memcpy(bytes() + member->offset, &value, member->size);
    return {};
}

Result<std::uint64_t> StructOpsMap::number(std::string_view name) const {
    const std::optional<BtfMemberPlace> member = find(name);
    std::uint64_t value = 0;
    if (!member || member->is_pointer || member->size > sizeof value)
        return fail(ErrorKind::kObject,
                    fmt::format("the sched_ext_ops of '{}' has no number '{}'", object_name_, name));
    std::memcpy(&value, bytes() + member->offset, member->size);
    return value;
}

Result<> StructOpsMap::clear(std::string_view name) {
    const std::optional<BtfMemberPlace> member = find(name);
    if (!member)
        return fail(ErrorKind::kInternal, fmt::format("no struct_ops member '{}' to clear", name));
    std::memset(bytes() + member->offset, 0, member->size);
    return {};
}

Result<std::string> StructOpsMap::set_scheduler_name(const std::string& otherwise, const std::string& suffix) {
    const std::optional<BtfMemberPlace> member = find("name");
    if (!member || member->is_pointer || member->size < 2 || member->size > kOpsNameMax)
        return fail(ErrorKind::kObject, fmt::format("'{}': its sched_ext_ops has no usable name", object_name_));
    char* text = reinterpret_cast<char*>(bytes() + member->offset);
    std::string own = scheduler_name();
    if (own.empty())
        own = otherwise;
    if (member->size <= suffix.size() + 1)
        return fail(ErrorKind::kObject, fmt::format("'{}': the name in its sched_ext_ops is too short", object_name_));
    own = kernel_name(own).substr(0, member->size - 1 - suffix.size());
    own += suffix;
    std::memset(text, 0, member->size);
    std::memcpy(text, own.data(), own.size());
    return own;
}

} // namespace scxhost
