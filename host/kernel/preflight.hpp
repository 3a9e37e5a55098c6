// SPDX-License-Identifier: GPL-2.0-only
//
// Can this machine run a scheduler now? Every condition is checked once and by itself, so that `run` stops at the first
// that fails, and `check` and `info` show all of them, without rights and on machines with no sched_ext.
#pragma once

#include "host/base/result.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// The capabilities that loading and attaching need and this thread lacks, in the kernel's spelling ("CAP_BPF").
// CAP_SYS_ADMIN stands for all of them. All are missing in a user namespace other than the initial one, where
// capabilities do not reach the BPF system call.
[[nodiscard]] std::vector<std::string> missing_capabilities();

// Where the checks look; tests look elsewhere.
struct PreflightPaths {
    std::filesystem::path btf = KernelBtf::kPath;
    std::filesystem::path sched_ext = SchedExtSysfs::kRoot;
    std::filesystem::path jit = "/proc/sys/net/core/bpf_jit_enable";
    std::filesystem::path command_line = "/proc/cmdline";
    std::filesystem::path isolated_cpus = "/sys/devices/system/cpu/isolated";
};

// The conditions, each with its error: kUnsupported, kPermission (names the capabilities) or kBusy (names the
// scheduler).
[[nodiscard]] Result<> check_sched_ext(const SchedExtSysfs& sysfs, std::string_view release);
// By features, not by number: a kernel that has what the minimum release brought is new enough.
[[nodiscard]] Result<> check_minimum_kernel(const KernelBtf& btf, std::string_view release);
[[nodiscard]] Result<> check_jit(const std::filesystem::path& path);
// Whether CPUs were taken out of the scheduling domains at boot: the kernel then refuses every scheduler
// (housekeeping_enabled(HK_TYPE_DOMAIN_BOOT) in 7.3.4's scx_enable; in 6.16 by comparing CPU masks). CPUs that are
// isolated later, in a cpuset partition, are no obstacle; tried on 6.16, 7.0 and 7.3.
[[nodiscard]] Result<> check_domain_isolation(const std::filesystem::path& command_line,
                                              const std::filesystem::path& isolated_cpus);
[[nodiscard]] Result<> check_capabilities(const std::vector<std::string>& missing);
// A scheduler that is just being disabled is no obstacle: attaching waits for it. With the kernel's types the hint says
// who holds the one that is attached, as far as this process may know.
[[nodiscard]] Result<> check_no_scheduler(const SchedExtSysfs& sysfs, const KernelBtf* btf = nullptr);

struct PreflightItem {
    enum class Outcome { kPassed, kFailed, kNotChecked };

    std::string_view name; // "BPF JIT"
    Outcome outcome = Outcome::kPassed;
    std::optional<Error> error; // of a failed check
    std::string reason;         // why it was not checked
};

// "passed", "failed", "not checked"
[[nodiscard]] std::string_view to_string(PreflightItem::Outcome outcome);

struct PreflightReport {
    std::vector<PreflightItem> items; // in the order in which `run` needs them
    std::optional<KernelBtf> btf;     // when there is one

    [[nodiscard]] const PreflightItem* first_failure() const;
};

[[nodiscard]] PreflightReport preflight_report(const PreflightPaths& paths = {});

// All of it; the error is the first failure's. Yields the kernel's BTF, which every caller needs next. To a
// sub-scheduler another scheduler is no obstacle: it runs below that one.
[[nodiscard]] Result<KernelBtf> preflight(const PreflightPaths& paths = {}, bool is_sub_scheduler = false);

} // namespace scxhost
