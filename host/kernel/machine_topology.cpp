// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/machine_topology.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace scxhost {
namespace {

constexpr std::uint32_t kMaxCpu = 65535;     // eight times what the kernel can be built for
constexpr std::int64_t kFullCapacity = 1024; // SCHED_CAPACITY_SCALE
constexpr int kMaxCaches = 16;               // of one CPU; four or five are usual

// The first line; nullopt where there is no such file, or it is empty.
std::optional<std::string> read_line(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line) || line.empty())
        return std::nullopt;
    return line;
}

std::optional<std::int64_t> read_number(const std::filesystem::path& path) {
    const std::string text = read_line(path).value_or("");
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

// Empty where there is no such file, or it holds no list.
std::vector<std::uint32_t> read_list(const std::filesystem::path& path) {
    const std::optional<std::string> line = read_line(path);
    return line ? parse_cpu_list(*line).value_or(std::vector<std::uint32_t>{}) : std::vector<std::uint32_t>{};
}

// Numbers groups of CPUs by their first members, so that the numbers are 0, 1, 2, … in the order of these.
class Groups {
public:
    std::int64_t number_of(const std::vector<std::uint32_t>& members, std::uint32_t cpu) {
        const std::uint32_t first = members.empty() ? cpu : *std::ranges::min_element(members);
        return numbers_.try_emplace(first, static_cast<std::int64_t>(numbers_.size())).first->second;
    }
    [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(numbers_.size()); }

private:
    std::map<std::uint32_t, std::int64_t> numbers_;
};

// The CPUs that share the last-level cache with this one: those of its package where it tells no caches.
std::vector<std::uint32_t> cache_sharers(const std::filesystem::path& cpu) {
    std::int64_t level = 0;
    std::vector<std::uint32_t> sharers;
    for (int i = 0; i < kMaxCaches; ++i) {
        const std::filesystem::path cache = cpu / "cache" / fmt::format("index{}", i);
        const std::int64_t this_level = read_number(cache / "level").value_or(0);
        if (this_level <= level || read_line(cache / "type") == "Instruction")
            continue;
        std::vector<std::uint32_t> list = read_list(cache / "shared_cpu_list");
        if (list.empty())
            continue;
        level = this_level;
        sharers = std::move(list);
    }
    return level > 0 ? sharers : read_list(cpu / "topology/package_cpus_list");
}

// The kernel's capacities, or what comes next to them; all the same where nothing is told.
void read_capacities(MachineTopology& machine, const std::filesystem::path& cpus) {
    for (const std::string_view source : {"cpu_capacity", "acpi_cppc/highest_perf", "cpufreq/cpuinfo_max_freq"}) {
        std::int64_t highest = 0;
        for (const std::uint32_t cpu : machine.online) {
            const std::int64_t value = read_number(cpus / fmt::format("cpu{}", cpu) / source).value_or(0);
            machine.capacity[cpu] = value;
            highest = std::max(highest, value);
        }
        const bool all_told =
            std::ranges::all_of(machine.online, [&](std::uint32_t cpu) { return machine.capacity[cpu] > 0; });
        if (!all_told)
            continue;
        if (source != "cpu_capacity") // which is on the kernel's scale already
            for (const std::uint32_t cpu : machine.online)
                machine.capacity[cpu] = std::max<std::int64_t>(1, machine.capacity[cpu] * kFullCapacity / highest);
        return;
    }
    for (const std::uint32_t cpu : machine.online)
        machine.capacity[cpu] = kFullCapacity;
}

void read_cpu_groups(MachineTopology& machine, const std::filesystem::path& cpus) {
    const std::set<std::uint32_t> online(machine.online.begin(), machine.online.end());
    Groups cores;
    Groups llcs;
    for (const std::uint32_t cpu : machine.online) {
        const std::filesystem::path folder = cpus / fmt::format("cpu{}", cpu);
        std::vector<std::uint32_t> threads = read_list(folder / "topology/thread_siblings_list");
        std::erase_if(threads, [&](std::uint32_t thread) { return !online.contains(thread); });
        machine.core[cpu] = cores.number_of(threads, cpu);
        const auto other = std::ranges::find_if(threads, [&](std::uint32_t thread) { return thread != cpu; });
        if (other != threads.end()) {
            machine.sibling[cpu] = *other;
            machine.smt = true;
        }
        std::vector<std::uint32_t> sharers = cache_sharers(folder);
        std::erase_if(sharers, [&](std::uint32_t sharer) { return !online.contains(sharer); });
        machine.llc[cpu] = llcs.number_of(sharers, cpu);
    }
    machine.llcs = llcs.size();
}

void read_nodes(MachineTopology& machine, const std::filesystem::path& nodes) {
    for (const std::uint32_t node : read_list(nodes / "possible")) {
        machine.nodes = std::max(machine.nodes, node + 1);
        for (const std::uint32_t cpu : read_list(nodes / fmt::format("node{}", node) / "cpulist"))
            if (cpu < machine.cpus)
                machine.node[cpu] = node;
    }
}

} // namespace

Result<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text) {
    std::vector<std::uint32_t> result;
    const char* at = text.data();
    const char* const end = at + text.size();
    const auto number = [&](std::uint32_t& value) {
        const auto [after, error] = std::from_chars(at, end, value);
        at = after;
        return error == std::errc() && value <= kMaxCpu;
    };
    while (at != end) {
        std::uint32_t first = 0;
        bool good = number(first);
        std::uint32_t last = first;
        if (good && at != end && *at == '-')
            good = ++at != end && number(last) && last >= first;
        if (good && at != end)
            good = *at++ == ',' && at != end;
        if (!good)
            return fail(ErrorKind::kConfig, fmt::format("\"{}\" is no list of CPUs", text),
                        "write numbers and ranges, as in \"0-3,8\"");
        for (std::uint32_t cpu = first; cpu <= last; ++cpu)
            result.push_back(cpu);
    }
    return result;
}

Result<MachineTopology> MachineTopology::read(const std::filesystem::path& sysfs) {
    const std::filesystem::path cpus = sysfs / "devices/system/cpu";
    MachineTopology machine;
    machine.possible = read_list(cpus / "possible");
    machine.online = read_list(cpus / "online");
    if (machine.possible.empty() || machine.online.empty())
        return fail(ErrorKind::kUnsupported,
                    fmt::format("cannot tell which CPUs this machine has: {} and \"online\" beside it do not list them",
                                (cpus / "possible").string()),
                    "mount sysfs on /sys");
    machine.cpus = std::max(*std::ranges::max_element(machine.possible), *std::ranges::max_element(machine.online)) + 1;
    for (PerCpu* numbers : {&machine.capacity, &machine.core, &machine.llc, &machine.node})
        numbers->assign(machine.cpus, 0);
    machine.sibling.assign(machine.cpus, -1);
    read_capacities(machine, cpus);
    read_cpu_groups(machine, cpus);
    read_nodes(machine, sysfs / "devices/system/node");
    machine.preferred.assign(machine.online.begin(), machine.online.end());
    std::ranges::sort(machine.preferred, {}, [&](std::int64_t cpu) {
        return std::pair(-machine.capacity[static_cast<std::size_t>(cpu)], cpu);
    });
    return machine;
}

} // namespace scxhost
