// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/preflight.hpp"

#include "host/base/capabilities.hpp"
#include "host/kernel/features.hpp"
#include "host/kernel/kernel_release.hpp"
#include "host/kernel/namespaces.hpp"
#include "host/kernel/scheduler_links.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

namespace scxhost {
namespace {

constexpr std::string_view kFree = "no other scheduler"; // the last item

// Verified on 6.16 and 7.3 by loading and attaching with each subset: maps need CAP_BPF, struct_ops programs
// CAP_PERFMON as well, and nothing else is asked for, by attaching neither.
constexpr std::array<std::pair<unsigned, const char*>, 2> kNeededCapabilities = {
    {{CAP_BPF, "CAP_BPF"}, {CAP_PERFMON, "CAP_PERFMON"}}};

// "isolcpus=[FLAG,]...CPUS": CPUs leave the scheduling domains by the flag "domain", and when there are no flags
// (housekeeping_isolcpus_setup in kernel/sched/isolation.c).
bool isolates_domains(std::string_view parameter) {
    constexpr std::string_view kName = "isolcpus=";
    if (!parameter.starts_with(kName))
        return false;
    std::string_view value = parameter.substr(kName.size());
    bool has_flags = false;
    while (!value.empty() && value.front() >= 'a' && value.front() <= 'z') {
        const std::string_view flag = value.substr(0, value.find(','));
        if (flag == "domain")
            return true;
        has_flags = has_flags || flag == "nohz" || flag == "managed_irq"; // others the kernel passes over
        value.remove_prefix(std::min(flag.size() + 1, value.size()));
    }
    return !has_flags;
}

PreflightItem make_item(std::string_view name, Result<> result) {
    if (result)
        return {.name = name, .outcome = PreflightItem::Outcome::kPassed, .error = {}, .reason = {}};
    return {.name = name, .outcome = PreflightItem::Outcome::kFailed, .error = std::move(result).error(), .reason = {}};
}

PreflightItem not_checked(std::string_view name, std::string reason) {
    return {.name = name, .outcome = PreflightItem::Outcome::kNotChecked, .error = {}, .reason = std::move(reason)};
}

} // namespace

std::vector<std::string> missing_capabilities() {
    const std::uint64_t effective = in_initial_user_namespace() ? effective_capabilities() : 0;
    std::vector<std::string> missing;
    if (effective >> CAP_SYS_ADMIN & 1)
        return missing;
    for (const auto& [bit, name] : kNeededCapabilities)
        if (!(effective >> bit & 1))
            missing.emplace_back(name);
    return missing;
}

Result<> check_sched_ext(const SchedExtSysfs& sysfs, std::string_view release) {
    if (sysfs.present())
        return {};
    return fail(
        ErrorKind::kUnsupported, fmt::format("this kernel ({}) is built without sched_ext", release),
        fmt::format("boot a kernel of {} or newer that is built with CONFIG_SCHED_CLASS_EXT=y; distributions may "
                    "leave it out, as Debian does in 6.12",
                    SCXHOST_MINIMUM_KERNEL));
}

Result<> check_minimum_kernel(const KernelBtf& btf, std::string_view release) {
    for (const Feature& feature : known_features())
        if (feature.since == SCXHOST_MINIMUM_KERNEL && probe(btf, feature.kind, feature.name) == Availability::kAbsent)
            return fail(
                ErrorKind::kUnsupported,
                fmt::format("this kernel ({}) is too old: it lacks {}, which came with {}, the oldest supported "
                            "release",
                            release, feature.name, feature.since),
                fmt::format("boot a kernel of {} or newer", SCXHOST_MINIMUM_KERNEL));
    return {};
}

Result<> check_jit(const std::filesystem::path& path) {
    // No such file: the kernel is built with the JIT always on.
    std::ifstream file(path);
    int enabled = 1;
    if (file >> enabled && enabled == 0)
        return fail(
            ErrorKind::kUnsupported,
            fmt::format("the BPF JIT is off ({} is 0), and scheduler programs cannot run without it", path.string()),
            "turn it on: sysctl net.core.bpf_jit_enable=1");
    return {};
}

Result<> check_domain_isolation(const std::filesystem::path& command_line, const std::filesystem::path& isolated_cpus) {
    std::ifstream file(command_line);
    bool is_asked_for = false;
    for (std::string parameter; file >> parameter && parameter != "--";)
        is_asked_for = is_asked_for || isolates_domains(parameter);
    std::string cpus;
    std::ifstream(isolated_cpus) >> cpus;
    if (!is_asked_for || cpus.empty())
        return {};
    return fail(ErrorKind::kUnsupported,
                fmt::format("CPUs were taken out of the scheduling domains at boot (isolcpus=, CPUs {}); the kernel "
                            "then refuses every sched_ext scheduler",
                            cpus),
                "boot without isolcpus=, and isolate the CPUs in a cpuset partition (cpuset.cpus.partition: isolated), "
                "which sched_ext allows");
}

Result<> check_capabilities(const std::vector<std::string>& missing) {
    if (missing.empty())
        return {};
    return fail(ErrorKind::kPermission,
                fmt::format("no permission to load BPF programs: {} missing in the initial user namespace",
                            fmt::join(missing, " and ")),
                "run as root, or give the program CAP_BPF and CAP_PERFMON");
}

Result<> check_no_scheduler(const SchedExtSysfs& sysfs, const KernelBtf* btf) {
    const SchedExtStatus status = SCXHOST_TRY(sysfs.snapshot());
    if (status.state == SchedExtState::kDisabled || status.state == SchedExtState::kDisabling)
        return {};
    const std::string how = btf != nullptr && status.ops ? how_to_end(*btf, *status.ops) : std::string();
    return fail(ErrorKind::kBusy,
                status.ops ? fmt::format("the scheduler \"{}\" is already attached", *status.ops)
                           : fmt::format("another scheduler is being attached (sched_ext is {})", status.state_text),
                fmt::format("stop it first{}{}; if an scxhost runs it, let that one replace it: scxhost swap",
                            how.empty() ? "" : "; ", how));
}

std::string_view to_string(PreflightItem::Outcome outcome) {
    constexpr std::array<std::string_view, 3> kWords = {"passed", "failed", "not checked"};
    return kWords[static_cast<std::size_t>(outcome)];
}

const PreflightItem* PreflightReport::first_failure() const {
    for (const PreflightItem& item : items)
        if (item.outcome == PreflightItem::Outcome::kFailed)
            return &item;
    return nullptr;
}

PreflightReport preflight_report(const PreflightPaths& paths) {
    const std::string release = kernel_release();
    const SchedExtSysfs sysfs(paths.sched_ext);
    const bool sched_ext = sysfs.present();
    PreflightReport report;

    Result<> loaded;
    if (auto btf = KernelBtf::load(paths.btf))
        report.btf = *std::move(btf);
    else
        loaded = fail(std::move(btf).error());
    report.items.push_back(make_item("type information (BTF)", std::move(loaded)));
    report.items.push_back(make_item("sched_ext", check_sched_ext(sysfs, release)));
    constexpr std::string_view kMinimum = "minimum kernel";
    if (!sched_ext)
        report.items.push_back(not_checked(kMinimum, "there is no sched_ext"));
    else if (!report.btf)
        report.items.push_back(not_checked(kMinimum, "there is no type information"));
    else
        report.items.push_back(make_item(kMinimum, check_minimum_kernel(*report.btf, release)));
    report.items.push_back(make_item("BPF JIT", check_jit(paths.jit)));
    report.items.push_back(make_item("CPU isolation", check_domain_isolation(paths.command_line, paths.isolated_cpus)));
    report.items.push_back(make_item("capabilities", check_capabilities(missing_capabilities())));
    report.items.push_back(sched_ext ? make_item(kFree, check_no_scheduler(sysfs, report.btf ? &*report.btf : nullptr))
                                     : not_checked(kFree, "there is no sched_ext"));
    return report;
}

Result<KernelBtf> preflight(const PreflightPaths& paths, bool is_sub_scheduler) {
    PreflightReport report = preflight_report(paths);
    const PreflightItem* failure = report.first_failure();
    if (failure != nullptr && !(is_sub_scheduler && failure->name == kFree))
        return fail(*failure->error);
    return *std::move(report.btf);
}

} // namespace scxhost
