// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/struct_ops_value.hpp"

#include "host/kernel/btf_types.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace scxhost {
namespace {

std::unexpected<Error> refused(std::string_view why, int error) {
    return fail_errno(ErrorKind::kAttach,
                      std::string("the kernel did not take its callbacks ahead of the attach") +
                          (why.empty() ? "" : ": ") + std::string(why),
                      error);
}

} // namespace

Result<> commit_struct_ops(const bpf_map* map, const btf* object, const btf* kernel) {
    const int fd = bpf_map__fd(map);
    bpf_map_info info{};
    std::uint32_t info_size = sizeof info;
    if (bpf_map_get_info_by_fd(fd, &info, &info_size) != 0)
        return refused({}, errno);

    std::size_t source_size = 0;
    const auto* source = static_cast<const std::byte*>(bpf_map__initial_value(map, &source_size));
    const btf_type* source_type = resolve_btf_type(object, bpf_map__btf_value_type_id(map));
    const btf_type* value_type = btf__type_by_id(kernel, info.btf_vmlinux_value_type_id);
    // struct bpf_struct_ops_NAME: the kernel's own part, then the struct_ops itself as "data".
    const std::optional<BtfMemberPlace> data =
        value_type == nullptr ? std::nullopt : find_btf_member(kernel, value_type, "data");
    if (source == nullptr || source_type == nullptr || source_type->size > source_size || !data ||
        value_type->size != info.value_size)
        return refused("its types are not the kernel's", EINVAL);
    std::vector<std::byte> value(info.value_size);
    const std::span target = std::span(value).subspan(data->offset, data->size);
    const btf_type* target_type = nullptr;
    for (const btf_member& member : std::span(btf_members(value_type), btf_vlen(value_type)))
        if (btf_name(kernel, member.name_off) == "data")
            target_type = resolve_btf_type(kernel, member.type);

    for (const btf_member& member : std::span(btf_members(target_type), btf_vlen(target_type))) {
        const std::string_view name = btf_name(kernel, member.name_off);
        const std::optional<BtfMemberPlace> to = find_btf_member(kernel, target_type, name);
        const std::optional<BtfMemberPlace> from = find_btf_member(object, source_type, name);
        if (!to || !from || to->size != from->size || to->is_pointer != from->is_pointer)
            continue;
        if (!to->is_pointer) {
            std::memcpy(target.data() + to->offset, source + from->offset, to->size);
            continue;
        }
        // libbpf keeps the program's handle where the callback's pointer is; it has checked it at load.
        const bpf_program* program = nullptr;
        std::memcpy(&program, source + from->offset, sizeof program);
        if (program == nullptr)
            continue;
        const auto program_fd = static_cast<unsigned long>(bpf_program__fd(program));
        std::memcpy(target.data() + to->offset, &program_fd, sizeof program_fd);
    }
    const std::uint32_t key = 0;
    if (bpf_map_update_elem(fd, &key, value.data(), 0) != 0 && errno != EBUSY)
        return refused({}, errno);
    return {};
}

} // namespace scxhost
