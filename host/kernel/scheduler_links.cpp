// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/scheduler_links.hpp"

#include "host/kernel/ops_layout.hpp"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <fstream>
#include <optional>
#include <ranges>
#include <sstream>
#include <system_error>
#include <utility>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

// Far more than any machine has pins; a hostile folder ends here.
constexpr int kMaxPins = 10'000;

// Name and cgroup of the scheduler whose struct_ops map this is; false when it is none.
bool read_ops(std::uint32_t map_id, const std::vector<OpsLayout>& layouts, SchedulerLink& link) {
    const UniqueFd map(bpf_map_get_fd_by_id(map_id));
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (!map || bpf_map_get_info_by_fd(map.get(), &info, &size) != 0)
        return false;
    const auto layout = std::ranges::find(layouts, info.btf_vmlinux_value_type_id, &OpsLayout::value_type);
    if (info.type != BPF_MAP_TYPE_STRUCT_OPS || layout == layouts.end())
        return false;
    std::vector<std::byte> value(info.value_size);
    const __u32 key = 0;
    if (bpf_map_lookup_elem(map.get(), &key, value.data()) != 0)
        return false;
    link.ops_name = ops_name_in(value, *layout);
    if (layout->sub_cgroup)
        link.sub_cgroup = read_at<std::uint64_t>(value, *layout->sub_cgroup);
    if (link.sub_cgroup == 1)
        link.sub_cgroup = 0; // the kernel takes the root cgroup for the machine (7.3.4, scx_enable)
    return true;
}

std::optional<bpf_link_info> link_info(int fd) {
    bpf_link_info info{};
    __u32 size = sizeof info;
    if (bpf_link_get_info_by_fd(fd, &info, &size) != 0)
        return std::nullopt;
    return info;
}

std::string read_word(const fs::path& path) {
    std::ifstream file(path);
    std::string word;
    std::getline(file, word);
    return word;
}

// Where a bpffs is mounted, by /proc/self/mountinfo: the fifth field is the place, the one after " - " the type.
std::vector<fs::path> bpf_file_systems() {
    std::vector<fs::path> places;
    std::ifstream file("/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        const std::size_t type = line.find(" - ");
        if (type == std::string::npos || !line.substr(type + 3).starts_with("bpf "))
            continue;
        std::istringstream fields(line);
        std::string place;
        for (int i = 0; i < 5; ++i)
            fields >> place;
        places.emplace_back(place);
    }
    return places;
}

bool is_pin_of(const fs::path& path, std::uint32_t link_id) {
    const UniqueFd object(bpf_obj_get(path.c_str())); // of any kind; only a link has a link's information
    if (!object)
        return false;
    const std::optional<bpf_link_info> info = link_info(object.get());
    return info && info->id == link_id && info->type == BPF_LINK_TYPE_STRUCT_OPS;
}

bool holds(const fs::path& process, std::uint32_t link_id, std::size_t& budget) {
    const std::string wanted = fmt::format("link_id:\t{}", link_id);
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(process / "fdinfo", error)) {
        if (budget == 0)
            return false;
        --budget;
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);)
            if (line == wanted)
                return true;
    }
    return false;
}

} // namespace

Result<std::vector<SchedulerLink>> list_scheduler_links(const KernelBtf& kernel) {
    const std::vector<OpsLayout> layouts = ops_layouts(kernel);
    std::vector<SchedulerLink> links;
    std::uint32_t id = 0;
    while (bpf_link_get_next_id(id, &id) == 0) {
        SchedulerLink link{.id = id, .ops_name = {}, .sub_cgroup = 0, .fd = UniqueFd(bpf_link_get_fd_by_id(id))};
        const std::optional<bpf_link_info> info = link.fd ? link_info(link.fd.get()) : std::nullopt;
        if (!info || info->type != BPF_LINK_TYPE_STRUCT_OPS || info->struct_ops.map_id == 0)
            continue; // gone meanwhile, something else, or detached
        if (read_ops(info->struct_ops.map_id, layouts, link))
            links.push_back(std::move(link));
    }
    if (errno != ENOENT)
        return fail_errno(errno == EPERM ? ErrorKind::kPermission : ErrorKind::kIo,
                          "cannot list the kernel's BPF links", errno);
    return links;
}

std::vector<SchedulerLink> dead_links(std::vector<SchedulerLink> links, const SchedExtProbe::Reading& kernel) {
    if (kernel.state != SchedExtState::kEnabled && kernel.state != SchedExtState::kDisabled)
        return {};
    std::erase_if(links, [](const SchedulerLink& link) { return link.sub_cgroup != 0; });
    if (kernel.state == SchedExtState::kEnabled) {
        // Of several with its name the last one runs: it could be attached only when those before it were dead.
        const auto running =
            std::ranges::find(links | std::views::reverse, kernel.ops_name(), &SchedulerLink::ops_name);
        if (running == std::ranges::end(links | std::views::reverse))
            return {}; // it came after the links were listed
        links.erase(std::prev(running.base()));
    }
    return links;
}

Result<DeadLinks> DeadLinks::find(const KernelBtf& kernel, const SchedExtProbe& probe) {
    std::vector<SchedulerLink> links = SCXHOST_TRY(list_scheduler_links(kernel));
    DeadLinks dead;
    dead.links_ = dead_links(std::move(links), probe.read());
    return dead;
}

void DeadLinks::detach(const SchedExtProbe& probe) {
    if (links_.empty() || probe.read().state == SchedExtState::kEnabled)
        return;
    for (const SchedulerLink& link : links_)
        (void)bpf_link_detach(link.fd.get());
}

LinkOwners find_link_owners(std::uint32_t link_id, std::size_t max_descriptors) {
    LinkOwners owners;
    std::error_code error;
    int seen = 0;
    for (const fs::path& place : bpf_file_systems())
        for (auto entry = fs::recursive_directory_iterator(place, fs::directory_options::skip_permission_denied, error);
             entry != fs::recursive_directory_iterator() && ++seen < kMaxPins; entry.increment(error))
            if (entry->is_regular_file(error) && is_pin_of(entry->path(), link_id))
                owners.pins.push_back(entry->path());
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename();
        pid_t pid = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr == name.data() + name.size() &&
            holds(entry.path(), link_id, max_descriptors))
            owners.processes.push_back({pid, read_word(entry.path() / "comm")});
    }
    return owners;
}

std::string describe_owners(std::uint32_t link_id, const LinkOwners& owners) {
    std::vector<std::string> processes;
    for (const LinkOwners::Process& process : owners.processes)
        processes.push_back(fmt::format("{} (pid {})", process.name, process.pid));
    std::vector<std::string> pins;
    for (const fs::path& pin : owners.pins)
        pins.push_back(pin.string());
    if (pins.empty() && processes.empty())
        return fmt::format("its link {0} is held where this process cannot see it: bpftool link detach id {0}",
                           link_id);
    if (pins.empty())
        return fmt::format("its link {} is held by {}: end that first", link_id, fmt::join(processes, ", "));
    if (processes.empty())
        return fmt::format(
            "its link {0} is pinned at {1} and no process holds it: rm {2}, or bpftool link detach id {0}", link_id,
            fmt::join(pins, ", "), fmt::join(pins, " "));
    return fmt::format("its link {0} is held by {1} and pinned at {2}: bpftool link detach id {0}, or end the one and "
                       "remove the other",
                       link_id, fmt::join(processes, ", "), fmt::join(pins, ", "));
}

std::string how_to_end(const KernelBtf& kernel, std::string_view ops_name, std::size_t max_descriptors) {
    std::uint32_t id = 0;
    if (const Result<std::vector<SchedulerLink>> links = list_scheduler_links(kernel))
        for (const SchedulerLink& link : *links)
            if (link.ops_name == ops_name && link.sub_cgroup == 0)
                id = link.id; // of several the last one runs
    // By now we hold none ourselves.
    return id == 0 ? std::string() : describe_owners(id, find_link_owners(id, max_descriptors));
}

} // namespace scxhost
