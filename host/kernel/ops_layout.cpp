// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/ops_layout.hpp"

#include "host/kernel/btf_types.hpp"

#include <bpf/btf.h>

#include <array>

namespace scxhost {
namespace {

const btf_type* struct_named(const struct btf* btf, const std::string& name) {
    const __s32 id = btf__find_by_name_kind(btf, name.c_str(), BTF_KIND_STRUCT);
    return id > 0 ? btf__type_by_id(btf, static_cast<__u32>(id)) : nullptr;
}

} // namespace

std::vector<OpsLayout> ops_layouts(const KernelBtf& kernel) {
    const struct btf* btf = kernel.raw();
    std::vector<OpsLayout> layouts;
    for (const std::string ops : {"sched_ext_ops", "sched_ext_ops_cid"}) {
        const __s32 value_id = btf__find_by_name_kind(btf, ("bpf_struct_ops_" + ops).c_str(), BTF_KIND_STRUCT);
        const btf_type* type = struct_named(btf, ops);
        if (value_id <= 0 || type == nullptr)
            continue;
        const auto data = find_btf_member(btf, btf__type_by_id(btf, static_cast<__u32>(value_id)), "data");
        const auto name = find_btf_member(btf, type, "name");
        if (!data || !name)
            continue;
        OpsLayout layout{.type = ops,
                         .value_type = static_cast<std::uint32_t>(value_id),
                         .name = data->offset + name->offset,
                         .sub_cgroup = {},
                         .flags = {},
                         .timeout = {},
                         .callbacks = {}};
        if (const auto member = find_btf_member(btf, type, "sub_cgroup_id"))
            layout.sub_cgroup = data->offset + member->offset;
        if (const auto member = find_btf_member(btf, type, "flags"))
            layout.flags = data->offset + member->offset;
        if (const auto member = find_btf_member(btf, type, "timeout_ms"))
            layout.timeout = data->offset + member->offset;
        for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
            const BtfMember member = btf_member_at(btf, type, i);
            const btf_type* pointer = resolve_btf_type(btf, member.type_id);
            const btf_type* target =
                pointer != nullptr && btf_is_ptr(pointer) ? resolve_btf_type(btf, pointer->type) : nullptr;
            if (target != nullptr && btf_is_func_proto(target))
                layout.callbacks.emplace_back(std::string(member.name), data->offset + member.offset);
        }
        layouts.push_back(std::move(layout));
    }
    return layouts;
}

std::string ops_name_in(std::span<const std::byte> value, const OpsLayout& layout) {
    const auto name = read_at<std::array<char, 128>>(value, layout.name);
    return {name.data(), ::strnlen(name.data(), name.size())};
}

} // namespace scxhost
