// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/held_scheduler.hpp"

#include "host/bpf/btf_view.hpp"
#include "host/bpf/variable_statistics.hpp"
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

// Of all callbacks together.
constexpr std::size_t kMaxMaps = 1024;

struct UsedByProgram {
    std::vector<std::uint32_t> maps; // ids
    std::uint32_t types = 0;         // id of its BTF; 0: none
};

UsedByProgram used_by(std::uint32_t program_id) {
    const UniqueFd program(::bpf_prog_get_fd_by_id(program_id));
    UsedByProgram used{.maps = std::vector<std::uint32_t>(64)}; // the most that the verifier allows (MAX_USED_MAPS)
    bpf_prog_info info{};
    info.nr_map_ids = static_cast<__u32>(used.maps.size());
    info.map_ids = reinterpret_cast<std::uint64_t>(used.maps.data());
    __u32 size = sizeof info;
    if (!program || ::bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0)
        return {};
    used.maps.resize(std::min<std::size_t>(used.maps.size(), info.nr_map_ids));
    used.types = info.btf_id;
    return used;
}

// The kernel keeps the first 15 characters of a map's name; the object's types have all of it. Empty: several maps
// begin so, and nothing tells which one this is.
std::string whole_map_name(const BtfView& btf, std::string_view kept) {
    if (kept.size() < BPF_OBJ_NAME_LEN - 1)
        return std::string(kept);
    std::string whole;
    for (const VariablePlace& variable : btf.variables())
        if (variable.section == ".maps" && variable.name.starts_with(kept)) {
            if (!whole.empty())
                return {};
            whole = variable.name;
        }
    return whole.empty() ? std::string(kept) : whole;
}

} // namespace

HeldScheduler::Section::~Section() {
    if (address_ != nullptr)
        ::munmap(const_cast<void*>(address_), size_);
}

Result<std::shared_ptr<const HeldScheduler>> HeldScheduler::from_map(UniqueFd map,
                                                                     const std::vector<OpsLayout>& layouts,
                                                                     const std::vector<std::string>& variables) {
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
    std::uint32_t types = 0;       // id of the object's BTF, which all its programs share
    for (const auto& [name, offset] : layout->callbacks) {
        // User space reads a program's id where the kernel has the callback (bpf_struct_ops_map_update_elem).
        const auto program = static_cast<std::uint32_t>(read_at<unsigned long>(value, offset));
        if (program == 0)
            continue;
        scheduler.callbacks_.push_back(name);
        const UsedByProgram used = used_by(program);
        for (const std::uint32_t id : used.maps)
            if (std::ranges::find(scheduler.maps_, id) == scheduler.maps_.end() && scheduler.maps_.size() < kMaxMaps)
                scheduler.maps_.push_back(id);
        if (types == 0 || name == "exit")
            types = used.types;
    }
    const std::unique_ptr<btf, FreeBtf> object(types == 0 ? nullptr : btf__load_from_kernel_by_id(types));
    if (object != nullptr) {
        const BtfView view(object.get());
        if (std::ranges::find(scheduler.callbacks_, "exit") != scheduler.callbacks_.end())
            scheduler.find_exit_record(view);
        if (!variables.empty())
            SCXHOST_TRY(scheduler.find_statistics(view, variables));
    } else if (!variables.empty()) {
        return fail(ErrorKind::kConfig, "stats.variables: the program's scheduler has no type information",
                    "leave it out");
    }
    return made;
}

// The exit callback writes it, so it is in one of the maps that callbacks use.
void HeldScheduler::find_exit_record(const BtfView& btf) {
    std::optional<ExitRecordPlace> place = scxhost::find_exit_record(btf);
    if (!place)
        return;
    section_ = map_section(btf, place->variable.section);
    if (section_.bytes().empty())
        return;
    if (place->dump)
        dump_ = map_section(btf, place->dump->section);
    record_ = std::move(place);
}

HeldScheduler::Section HeldScheduler::map_section(const BtfView& btf, const std::string& name) const {
    for (const std::uint32_t id : maps_) {
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

std::optional<StatisticsPlace> HeldScheduler::place_of(const StatisticDeclaration& statistic) const {
    // A map may be called as a section is: what a name means goes by the home.
    const bool per_cpu = statistic.home == StatisticDeclaration::Home::kPerCpuMap;
    const auto section = sections_.find(statistic.container);
    if (!per_cpu && section != sections_.end() && !section->second.bytes().empty())
        return StatisticsPlace{.mapped = section->second.bytes()};
    const auto map = copied_.find(statistic.container);
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (map == copied_.end() || ::bpf_obj_get_info_by_fd(map->second.get(), &info, &size) != 0 ||
        info.type != (per_cpu ? BPF_MAP_TYPE_PERCPU_ARRAY : BPF_MAP_TYPE_ARRAY))
        return std::nullopt;
    return StatisticsPlace{.value_size = info.value_size,
                           .entries = info.max_entries,
                           .copy = [fd = map->second.get(), entries = info.max_entries](std::span<std::byte> out) {
                               return copy_map_values(fd, entries, out);
                           }};
}

Result<> HeldScheduler::find_statistics(const BtfView& btf, const std::vector<std::string>& variables) {
    std::vector<PerCpuMapType> maps;
    for (const std::uint32_t id : maps_) {
        UniqueFd map(::bpf_map_get_fd_by_id(id));
        bpf_map_info info{};
        __u32 size = sizeof info;
        if (!map || ::bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0)
            continue;
        if (info.type == BPF_MAP_TYPE_ARRAY && info.max_entries == 1) {
            // A section of globals. libbpf leaves one of static variables alone unmapped (map_is_mmapable).
            copied_.insert_or_assign(std::string(type_name(btf.raw(), info.btf_value_type_id)), std::move(map));
        } else if (info.type == BPF_MAP_TYPE_PERCPU_ARRAY) {
            const std::string name = whole_map_name(btf, info.name);
            if (name.empty())
                continue;
            maps.push_back({.name = name,
                            .value_type_id = info.btf_value_type_id,
                            .entries = info.max_entries,
                            .value_size = info.value_size});
            copied_.insert_or_assign(name, std::move(map));
        }
    }
    Declarations declarations;
    for (const std::string& variable : variables)
        SCXHOST_TRY(add_variable_statistics(declarations, btf, maps, variable));
    statistics_ = std::move(declarations.statistics);
    for (const StatisticDeclaration& statistic : statistics_) {
        if (statistic.home == StatisticDeclaration::Home::kArena)
            return fail(ErrorKind::kConfig,
                        fmt::format("stats.variables: '{}' is in the arena of the program's object, which the host "
                                    "cannot map",
                                    statistic.name),
                        "leave it out");
        if (statistic.home == StatisticDeclaration::Home::kGlobal && !sections_.contains(statistic.container))
            sections_.emplace(statistic.container, map_section(btf, statistic.container));
    }
    std::erase_if(copied_, [this](const auto& map) {
        return std::ranges::find(statistics_, map.first, &StatisticDeclaration::container) == statistics_.end();
    });
    reader_ = SCXHOST_TRY(StatisticsReader::make(
        statistics_, [this](const StatisticDeclaration& statistic) { return place_of(statistic); }));
    return {};
}

Result<std::vector<std::int64_t>> HeldScheduler::read_statistics() const {
    if (!reader_)
        return std::vector<std::int64_t>();
    return reader_->read();
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
