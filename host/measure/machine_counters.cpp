// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/machine_counters.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>

namespace scxhost {
namespace {

struct Resource {
    const char* file;
    const char* name;
};
constexpr std::array kResources = {Resource{"cpu", "CPU pressure"}, Resource{"io", "I/O pressure"},
                                   Resource{"memory", "memory pressure"}};

std::optional<std::uint64_t> read_number(const std::filesystem::path& path) {
    std::uint64_t value = 0;
    return std::ifstream(path) >> value ? std::optional(value) : std::nullopt;
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=123": Documentation/accounting/psi.rst of the kernel.
std::optional<std::uint64_t> read_pressure(const std::filesystem::path& path) {
    std::ifstream file(path);
    constexpr std::string_view kTotal = " total=";
    for (std::string line; std::getline(file, line);) {
        const std::size_t at = line.find(kTotal);
        std::uint64_t value = 0;
        if (!line.starts_with("some ") || at == std::string::npos)
            continue;
        const char* begin = line.data() + at + kTotal.size();
        if (std::from_chars(begin, line.data() + line.size(), value).ec == std::errc())
            return value;
    }
    return std::nullopt;
}

} // namespace

MachineCounters MachineCounters::read(const std::filesystem::path& root) {
    MachineCounters counters;
    for (const Resource& resource : kResources)
        if (const auto total = read_pressure(root / "proc/pressure" / resource.file))
            counters.pressure_us[resource.file] = *total;
    std::error_code none;
    for (std::filesystem::directory_iterator zone(root / "sys/class/powercap", none), end; !none && zone != end;
         zone.increment(none)) {
        // "intel-rapl:0" is a package; "intel-rapl:0:0" is a part of it, and "intel-rapl-mmio:0" the same once more.
        const std::string name = zone->path().filename().string();
        constexpr std::string_view kPackage = "intel-rapl:";
        if (!name.starts_with(kPackage) || name.find(':', kPackage.size()) != std::string::npos)
            continue;
        const auto now = read_number(zone->path() / "energy_uj");
        const auto range = read_number(zone->path() / "max_energy_range_uj");
        if (now && range)
            counters.energy[name] = {.microjoules = *now, .range = *range};
    }
    return counters;
}

std::vector<Figure> figures_between(const MachineCounters& before, const MachineCounters& after,
                                    std::chrono::nanoseconds time) {
    std::vector<Figure> figures;
    const double microseconds = std::chrono::duration<double, std::micro>(time).count();
    for (const Resource& resource : kResources) {
        const auto from = before.pressure_us.find(resource.file);
        const auto to = after.pressure_us.find(resource.file);
        if (from != before.pressure_us.end() && to != after.pressure_us.end() && microseconds > 0)
            figures.push_back({.name = resource.name,
                               .unit = "%",
                               .better = Better::kLower,
                               .value = 100 * static_cast<double>(to->second - from->second) / microseconds});
    }
    double joules = 0;
    bool any = false;
    for (const auto& [zone, to] : after.energy) {
        const auto from = before.energy.find(zone);
        if (from == before.energy.end())
            continue;
        any = true;
        const std::uint64_t start = from->second.microjoules;
        const std::uint64_t used = to.microjoules >= start ? to.microjoules - start : to.range - start + to.microjoules;
        joules += static_cast<double>(used) / 1e6;
    }
    if (any)
        figures.push_back({.name = "energy", .unit = "J", .better = Better::kLower, .value = joules});
    return figures;
}

} // namespace scxhost
