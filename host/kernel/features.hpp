// SPDX-License-Identifier: GPL-2.0-only
//
// The kernel features that matter to schedulers, each once: how to ask the running kernel for it, which releases have
// it, and what it is good for. `scxhost info`, docs/kernel-support.md and the test for the minimum kernel all come from
// this one table.
#pragma once

#include "host/kernel/kernel_btf.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// What the kernel can be asked about. kFile is a path; it exists or it does not, whatever the BTF says.
enum class ProbeKind { kKfunc, kFunction, kEnumerator, kStruct, kMember, kFile };

enum class Availability {
    kPresent,
    kAbsent,
    kMalformed, // a kfunc that is there and cannot be called, by a defect of the kernel's build
};

// "kfunc", "function", "enumerator", "struct", "member", "file"
[[nodiscard]] std::string_view to_string(ProbeKind kind);
// "present", "absent", "malformed"
[[nodiscard]] std::string_view to_string(Availability availability);

// Members are written "struct.member".
[[nodiscard]] Availability probe(const KernelBtf& btf, ProbeKind kind, std::string_view name);

enum class FeatureGroup { kDispatch, kCpus, kTasks, kCgroups, kLifecycle, kBpf, kFlags };

// A heading: "Dispatch queues", …
[[nodiscard]] std::string_view to_string(FeatureGroup group);

struct Feature {
    FeatureGroup group;
    std::string_view key;
    ProbeKind kind;
    std::string_view name;    // of what is probed
    std::string_view since;   // first release series, "6.18"; empty: every supported kernel has it
    std::string_view until;   // last release series; empty: still there
    std::string_view purpose; // what a policy or the host does with it
};

// Every known feature, grouped.
[[nodiscard]] std::span<const Feature> known_features();

// The releases that have it, in words: "all", "from 6.19", "up to 6.16", "7.2".
[[nodiscard]] std::string kernels_with(const Feature& feature);

struct FeatureState {
    const Feature* feature; // in known_features()
    Availability availability;
};

// Asks for each known feature once, in the table's order.
[[nodiscard]] std::vector<FeatureState> probe_features(const KernelBtf& btf);

// The table as it stands in docs/kernel-support.md (Markdown).
[[nodiscard]] std::string feature_table();

} // namespace scxhost
