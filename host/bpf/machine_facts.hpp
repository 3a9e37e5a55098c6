// SPDX-License-Identifier: GPL-2.0-only
//
// Facts of the machine in place of numbers that a configuration would have to name: `nr_cpus = { machine = "cpus" }`.
// A configuration that uses them fits every machine.
#pragma once

#include "host/base/result.hpp"
#include "host/config/setting.hpp"
#include "host/kernel/machine_topology.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace scxhost {

struct MachineFact {
    std::string name;                         // "cpus"
    std::variant<std::int64_t, PerCpu> value; // one number, or one for each CPU
    [[nodiscard]] bool is_per_cpu() const { return std::holds_alternative<PerCpu>(value); }
};

// Of a key that asks for a fact, "nr_cpus.machine", the part before ".machine"; nullopt for any other key.
[[nodiscard]] std::optional<std::string_view> machine_target(std::string_view key);

// From one thread.
class MachineFacts {
public:
    explicit MachineFacts(std::filesystem::path sysfs = "/sys");

    // The fact whose name is the value of `setting`. kConfig: there is none of this name, or it cannot be known here;
    // kUnsupported: the machine cannot be read.
    [[nodiscard]] Result<MachineFact> find(const Setting& setting) const;

    // Read when it is first asked for.
    [[nodiscard]] Result<const MachineTopology*> topology() const;

private:
    std::filesystem::path sysfs_;
    mutable std::optional<MachineTopology> topology_;
};

} // namespace scxhost
