// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/held_scheduler.hpp"

#include "host/bpf/btf_view.hpp"
#include "host/kernel/btf_types.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

struct FreeBtf {
    void operator()(btf* types) const { btf__free(types); }
};

std::string_view type_name(const btf* types, std::uint32_t id) {
    const btf_type* type = btf__type_by_id(types, id);
    return type == nullptr ? std::string_view() : btf_name(types, type->name_off);
}

} // namespace

HeldScheduler::Section::~Section() {
    if (address_ != nullptr)
        ::munmap(const_cast<void*>(address_), size_);
}

Result<std::shared_ptr<const HeldScheduler>> HeldScheduler::from_map(UniqueFd map,
                                                                     const std::vector<OpsLayout>& layouts) {
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (::bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0)
        return fail_errno(ErrorKind::kIo, "cannot read what the program's map is", errno);
    const auto layout = std::ranges::find(layouts, info.btf_vmlinux_value_type_id, &OpsLayout::value_type);
    if (info.type != BPF_MAP_TYPE_STRUCT_OPS || layout == layouts.end())
        return fail(ErrorKind::kObject, fmt::format("the program's map '{}' holds no scheduler", info.name));
    std::vector<std::byte> value(info.value_size);
    const __u32 key = 0;
    if (::bpf_map_lookup_elem(map.get(), &key, value.data()) != 0)
        return fail_errno(ErrorKind::kIo, fmt::format("cannot read the program's map '{}'", info.name), errno);

    const std::shared_ptr<HeldScheduler> made(new HeldScheduler());
    HeldScheduler& scheduler = *made;
    scheduler.map_ = std::move(map);
    scheduler.map_id_ = info.id;
    scheduler.ops_name_ = ops_name_in(value, *layout);
    scheduler.ops_type_ = layout->type;
    if (layout->flags)
        scheduler.flags_ = read_at<std::uint64_t>(value, *layout->flags);
    if (layout->sub_cgroup)
        scheduler.sub_cgroup_ = read_at<std::uint64_t>(value, *layout->sub_cgroup);
    if (layout->timeout)
        scheduler.timeout_ = std::chrono::milliseconds(read_at<std::uint32_t>(value, *layout->timeout));
    if (scheduler.sub_cgroup_ == 1)
        scheduler.sub_cgroup_ = 0; // the kernel takes the root cgroup for the machine (7.3.4, scx_enable)
    for (const auto& [name, offset] : layout->callbacks) {
        // User space reads a program's id where the kernel has the callback (bpf_struct_ops_map_update_elem).
        const auto program = static_cast<std::uint32_t>(read_at<unsigned long>(value, offset));
        if (program == 0)
            continue;
        scheduler.callbacks_.push_back(name);
        if (name == "exit")
            scheduler.find_exit_record(program);
    }
    return made;
}

// The exit callback writes it, so it is in one of the maps that this program uses.
void HeldScheduler::find_exit_record(std::uint32_t exit_program) {
    const UniqueFd program(::bpf_prog_get_fd_by_id(exit_program));
    std::vector<std::uint32_t> maps(64); // the most that the verifier lets a program use (MAX_USED_MAPS)
    bpf_prog_info info{};
    info.nr_map_ids = static_cast<__u32>(maps.size());
    info.map_ids = reinterpret_cast<std::uint64_t>(maps.data());
    __u32 size = sizeof info;
    if (!program || ::bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0 || info.btf_id == 0)
        return;
    maps.resize(std::min<std::size_t>(maps.size(), info.nr_map_ids));
    const std::unique_ptr<btf, FreeBtf> types(btf__load_from_kernel_by_id(info.btf_id));
    if (types == nullptr)
        return;
    const BtfView view(types.get());
    std::optional<ExitRecordPlace> place = scxhost::find_exit_record(view);
    if (!place)
        return;
    section_ = map_section(maps, view, place->variable.section);
    if (section_.bytes().empty())
        return;
    if (place->dump)
        dump_ = map_section(maps, view, place->dump->section);
    record_ = std::move(place);
}

HeldScheduler::Section HeldScheduler::map_section(std::span<const std::uint32_t> maps, const BtfView& btf,
                                                  const std::string& name) {
    for (const std::uint32_t id : maps) {
        const UniqueFd map(::bpf_map_get_fd_by_id(id));
        bpf_map_info info{};
        __u32 size = sizeof info;
        if (!map || ::bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0 || info.type != BPF_MAP_TYPE_ARRAY ||
            (info.map_flags & BPF_F_MMAPABLE) == 0 || info.max_entries != 1 ||
            type_name(btf.raw(), info.btf_value_type_id) != name)
            continue;
        void* address = ::mmap(nullptr, info.value_size, PROT_READ, MAP_SHARED, map.get(), 0);
        if (address != MAP_FAILED)
            return {address, info.value_size};
    }
    return {};
}

std::optional<ExitReport> HeldScheduler::read_exit_record() const {
    if (!record_)
        return std::nullopt;
    return read_exit_report(*record_, section_.bytes(), dump_.bytes());
}

std::uint32_t HeldScheduler::exit_kind() const {
    return record_ ? read_at<std::uint32_t>(section_.bytes(), record_->kind_offset) : 0;
}

Result<UniqueFd> HeldScheduler::attach() const {
    UniqueFd link(::bpf_link_create(map_.get(), 0, BPF_STRUCT_OPS, nullptr));
    if (!link)
        return fail_errno(errno == EBUSY ? ErrorKind::kBusy : ErrorKind::kAttach,
                          fmt::format("cannot attach the program's scheduler '{}'", ops_name_), errno);
    return link;
}

} // namespace scxhost
