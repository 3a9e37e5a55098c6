// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/machine_facts.hpp"

#include "host/kernel/namespaces.hpp"

#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

constexpr std::string_view kSuffix = ".machine";

struct Fact {
    std::string_view name;
    std::variant<std::int64_t (*)(const MachineTopology&), PerCpu MachineTopology::*> value;
};

constexpr std::array kFacts = {
    Fact{"cpus", [](const MachineTopology& machine) { return std::int64_t{machine.cpus}; }},
    Fact{"nodes", [](const MachineTopology& machine) { return std::int64_t{machine.nodes}; }},
    Fact{"llcs", [](const MachineTopology& machine) { return std::int64_t{machine.llcs}; }},
    Fact{"smt", [](const MachineTopology& machine) { return std::int64_t{machine.smt}; }},
    Fact{"host_pid", [](const MachineTopology&) { return std::int64_t{::getpid()}; }},
    Fact{"capacity", &MachineTopology::capacity},
    Fact{"core", &MachineTopology::core},
    Fact{"llc", &MachineTopology::llc},
    Fact{"node", &MachineTopology::node},
    Fact{"sibling", &MachineTopology::sibling},
    Fact{"preferred", &MachineTopology::preferred},
};

const std::vector<std::string>& fact_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> result;
        for (const Fact& fact : kFacts)
            result.emplace_back(fact.name);
        return result;
    }();
    return names;
}

} // namespace

std::optional<std::string_view> machine_target(std::string_view key) {
    if (!key.ends_with(kSuffix) || key.size() == kSuffix.size())
        return std::nullopt;
    return key.substr(0, key.size() - kSuffix.size());
}

MachineFacts::MachineFacts(std::filesystem::path sysfs)
    : sysfs_(std::move(sysfs)) {}

Result<const MachineTopology*> MachineFacts::topology() const {
    if (!topology_)
        topology_ = SCXHOST_TRY(MachineTopology::read(sysfs_));
    return &*topology_;
}

Result<MachineFact> MachineFacts::find(const Setting& setting) const {
    const Fact& fact = kFacts.at(SCXHOST_TRY(setting.as_choice(fact_names())));
    if (fact.name == "host_pid" && !in_initial_pid_namespace())
        return fail(setting.error("the host runs in a PID namespace, where nothing tells its number outside of it, "
                                  "which is the one that a scheduler sees",
                                  "run scxhost in the initial PID namespace (containers: --pid=host)"));
    const MachineTopology* machine = SCXHOST_TRY(topology());
    MachineFact result{.name = std::string(fact.name), .value = {}};
    if (const auto* number = std::get_if<0>(&fact.value))
        result.value = (*number)(*machine);
    else
        result.value = machine->*std::get<1>(fact.value);
    return result;
}

} // namespace scxhost
