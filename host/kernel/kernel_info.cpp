// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/kernel_info.hpp"

#include "host/kernel/kernel_release.hpp"

#include <bpf/libbpf.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>

#include <bit>
#include <fstream>
#include <utility>

namespace scxhost {
namespace {

constexpr int kSchema = 1;

#ifdef __clang__
constexpr const char* kCompiler = __VERSION__;
#else
constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

std::string machine() {
    struct utsname name = {};
    return ::uname(&name) == 0 ? name.machine : "unknown";
}

// The file lists all modes with the current one in brackets.
std::string lockdown() {
    std::ifstream file("/sys/kernel/security/lockdown");
    std::string line;
    std::getline(file, line);
    const std::size_t open = line.find('[');
    const std::size_t close = line.find(']');
    return open < close && close != std::string::npos ? line.substr(open + 1, close - open - 1) : "";
}

// The enum also has masks and the kernel's internal flags, which a scheduler must not set.
std::vector<std::pair<std::string, std::uint64_t>> accepted_flags(const KernelBtf& btf) {
    const std::uint64_t accepted = btf.enumerator("SCX_OPS_ALL_FLAGS").value_or(0);
    std::vector<std::pair<std::string, std::uint64_t>> flags;
    for (auto& [name, value] : btf.enumerators_of("scx_ops_flags"))
        if (std::has_single_bit(value) && (value & accepted))
            flags.emplace_back(std::move(name), value);
    return flags;
}

nlohmann::ordered_json json_of(const Error& error) {
    nlohmann::ordered_json json = {{"what", error.what}};
    if (!error.hint.empty())
        json["hint"] = error.hint;
    return json;
}

nlohmann::ordered_json json_of(const PreflightReport& report) {
    nlohmann::ordered_json checks = nlohmann::ordered_json::array();
    for (const PreflightItem& item : report.items) {
        nlohmann::ordered_json check = {{"check", item.name}, {"outcome", to_string(item.outcome)}};
        if (item.error)
            check.update(json_of(*item.error));
        if (!item.reason.empty())
            check["reason"] = item.reason;
        checks.push_back(std::move(check));
    }
    return checks;
}

nlohmann::ordered_json json_of(const std::optional<SchedExtStatus>& status) {
    if (!status)
        return nullptr;
    nlohmann::ordered_json json;
    json["state"] = status->state_text;
    json["scheduler"] = status->ops ? nlohmann::ordered_json(*status->ops) : nlohmann::ordered_json(nullptr);
    json["enable_seq"] = status->enable_seq;
    json["switch_all"] = status->switch_all;
    json["nr_rejected"] = status->nr_rejected;
    json["hotplug_seq"] = status->hotplug_seq;
    json["events"] = status->events;
    return json;
}

nlohmann::ordered_json json_of(const FeatureState& state) {
    nlohmann::ordered_json json = {{"key", state.feature->key},
                                   {"availability", to_string(state.availability)},
                                   {"kind", to_string(state.feature->kind)},
                                   {"name", state.feature->name}};
    if (!state.feature->since.empty())
        json["since"] = state.feature->since;
    if (!state.feature->until.empty())
        json["until"] = state.feature->until;
    json["purpose"] = state.feature->purpose;
    return json;
}

} // namespace

KernelInfo gather_kernel_info(std::string contract_version) {
    KernelInfo info;
    info.release = kernel_release();
    info.machine = machine();
    info.lockdown = lockdown();
    info.preflight = preflight_report();
    if (auto status = SchedExtSysfs().snapshot())
        info.sched_ext = *std::move(status);
    if (const auto& btf = info.preflight.btf) {
        info.features = probe_features(*btf);
        info.ops_flags = accepted_flags(*btf);
        info.ops_members = btf->struct_members("sched_ext_ops");
        info.malformed_kfuncs = btf->malformed_kfuncs();
    }
    info.host_version = SCXHOST_VERSION;
    info.contract_version = std::move(contract_version);
    info.libbpf_version = libbpf_version_string();
    info.compiler = kCompiler;
    return info;
}

nlohmann::ordered_json to_json(const KernelInfo& info) {
    nlohmann::ordered_json json;
    json["schema"] = kSchema;
    json["versions"] = {{"scxhost", info.host_version},
                        {"contract", info.contract_version},
                        {"libbpf", info.libbpf_version},
                        {"compiler", info.compiler}};
    json["kernel"] = {{"release", info.release}, {"machine", info.machine}};
    json["kernel"]["lockdown"] =
        info.lockdown.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(info.lockdown);
    json["ready"] = info.preflight.first_failure() == nullptr;
    json["checks"] = json_of(info.preflight);
    json["sched_ext"] = json_of(info.sched_ext);

    nlohmann::ordered_json& malformed = json["malformed_kfuncs"] = nlohmann::ordered_json::array();
    for (const MalformedKfunc& kfunc : info.malformed_kfuncs)
        malformed.push_back({{"name", kfunc.name}, {"why", kfunc.why}});

    nlohmann::ordered_json& features = json["features"] = nlohmann::ordered_json::array();
    for (const FeatureState& state : info.features)
        features.push_back(json_of(state));

    nlohmann::ordered_json& flags = json["ops_flags"] = nlohmann::ordered_json::object();
    for (const auto& [name, value] : info.ops_flags)
        flags[name] = value;
    json["ops_members"] = info.ops_members;
    return json;
}

} // namespace scxhost
