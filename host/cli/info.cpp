// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/info.hpp"

#include "host/base/error_json.hpp"
#include "host/cli/command.hpp"
#include "host/cli/standard_output.hpp"
#include "host/programs/program_rights.hpp"
#include <scxhost/plugin.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <sstream>

namespace scxhost {
namespace {

constexpr std::size_t kLabelWidth = 26;

void print_row(std::ostream& out, std::string_view label, std::string_view value) {
    fmt::print(out, "{:<{}}{}\n", label, kLabelWidth, value);
}

std::string describe(const SchedExtStatus& status) {
    std::string text = status.state_text;
    if (status.ops)
        text += fmt::format(", scheduler \"{}\"{}", *status.ops,
                            status.switch_all ? "" : " (only tasks with the SCHED_EXT policy)");
    return text + fmt::format("; {} enabled since boot", status.enable_seq);
}

void print_checks(std::ostream& out, const PreflightReport& report) {
    print_row(out, "Ready to run", report.first_failure() ? "no" : "yes");
    for (const PreflightItem& item : report.items) {
        std::string text(to_string(item.outcome));
        if (item.error)
            text += ": " + item.error->what;
        if (!item.reason.empty())
            text += ": " + item.reason;
        print_row(out, fmt::format("  {}", item.name), text);
        if (item.error && !item.error->hint.empty())
            print_row(out, "", "hint: " + item.error->hint);
    }
}

void print_features(std::ostream& out, const std::vector<FeatureState>& features) {
    std::size_t width = 0;
    for (const FeatureState& state : features)
        width = std::max(width, state.feature->name.size());
    const Feature* previous = nullptr;
    for (const FeatureState& state : features) {
        const Feature& feature = *state.feature;
        if (!previous || previous->group != feature.group)
            fmt::print(out, "\n{}\n", to_string(feature.group));
        fmt::print(out, "  {:<9}  {:<{}}  {}{}\n", to_string(state.availability), feature.name, width, feature.purpose,
                   state.availability == Availability::kAbsent ? fmt::format(" ({})", kernels_with(feature)) : "");
        previous = &feature;
    }
}

// A newer kernel may have flags that this host's table does not tell about.
void print_unknown_flags(std::ostream& out, const KernelInfo& info) {
    std::string names;
    for (const auto& [name, value] : info.ops_flags)
        if (std::ranges::find(known_features(), name, &Feature::name) == known_features().end())
            names += (names.empty() ? "" : ", ") + name;
    if (!names.empty())
        fmt::print(out, "\nFlags that this host does not know: {}\n", names);
}

} // namespace

void print_kernel_info(std::ostream& out, const KernelInfo& info, const Result<>& programs) {
    print_row(out, "Kernel", fmt::format("{} ({})", info.release, info.machine));
    if (!info.lockdown.empty() && info.lockdown != "none")
        print_row(out, "Lockdown",
                  info.lockdown == "confidentiality" ? "confidentiality: the verifier refuses programs that read "
                                                       "kernel memory by address, as nearly every policy does"
                                                     : info.lockdown);
    print_row(out, "sched_ext", info.sched_ext ? describe(*info.sched_ext) : "not available");
    print_row(out, "scxhost",
              fmt::format("{} (plugin contract {}, libbpf {}, {})", info.host_version, info.contract_version,
                          info.libbpf_version, info.compiler));
    fmt::print(out, "\n");
    print_checks(out, info.preflight);
    print_row(out, "Can host programs", programs ? "yes" : "no: " + programs.error().what);
    if (!programs)
        print_row(out, "", "hint: " + programs.error().hint);

    if (!info.malformed_kfuncs.empty()) {
        fmt::print(out,
                   "\n{} kfuncs are malformed in this kernel's BTF, a defect of its build; schedulers that need "
                   "one of them cannot load:\n",
                   info.malformed_kfuncs.size());
        for (const MalformedKfunc& kfunc : info.malformed_kfuncs)
            fmt::print(out, "  {}\n", kfunc.name);
    }
    // Without sched_ext the table would be a long list of absences.
    if (info.sched_ext) {
        print_features(out, info.features);
        print_unknown_flags(out, info);
    }
}

void info_command(std::ostream& out, bool json) {
    const KernelInfo info = gather_kernel_info(fmt::format("{}.{}", SCXHOST_CONTRACT_MAJOR, SCXHOST_CONTRACT_MINOR));
    const Result<> programs = check_program_rights();
    if (!json) {
        print_kernel_info(out, info, programs);
        return;
    }
    nlohmann::ordered_json answer = to_json(info);
    answer["programs"]["error"] =
        programs ? nlohmann::ordered_json() : nlohmann::ordered_json(to_json(programs.error()));
    out << answer.dump(2) << '\n';
}

void add_info(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("info", "Show what this machine and its kernel can do");
    const auto json = std::make_shared<bool>(false);
    command->add_flag("--json", *json, "JSON in place of text");
    command->footer("\nReports and judges nothing: a machine that cannot run a scheduler is no error.");
    command->callback([json, &chosen = line.chosen] {
        chosen = [json]() -> CommandResult {
            std::ostringstream text;
            info_command(text, *json);
            print(text.str());
            return ExitStatus::kDone;
        };
    });
}

} // namespace scxhost
