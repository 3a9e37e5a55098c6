// SPDX-License-Identifier: GPL-2.0-only
//
// Everything that `scxhost info` tells: what this machine is, whether a scheduler can run on it, what runs, what its
// kernel can do. Gathered in one pass; works without rights and on machines with no sched_ext.
#pragma once

#include "host/kernel/features.hpp"
#include "host/kernel/preflight.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {

struct KernelInfo {
    std::string release;  // "7.3.4+deb13-cloud-amd64"
    std::string machine;  // "x86_64"
    std::string lockdown; // "none", "integrity", "confidentiality"; empty: the kernel does not show it
    PreflightReport preflight;
    std::optional<SchedExtStatus> sched_ext; // nullopt: no sched_ext, or not readable (preflight tells)
    // The rest comes from the BTF and is empty without it.
    std::vector<FeatureState> features;
    std::vector<std::pair<std::string, std::uint64_t>> ops_flags; // flags that the kernel accepts from a scheduler
    std::vector<std::string> ops_members;                         // members of its struct sched_ext_ops
    std::vector<MalformedKfunc> malformed_kfuncs;

    std::string host_version;
    std::string contract_version; // of the plugin contract
    std::string libbpf_version;
    std::string compiler; // of the host
};

[[nodiscard]] KernelInfo gather_kernel_info(std::string contract_version);

// The schema is described in docs/kernel-support.md.
[[nodiscard]] nlohmann::ordered_json to_json(const KernelInfo& info);

} // namespace scxhost
