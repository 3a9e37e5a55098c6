// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/object_view.hpp"

#include "host/bpf/options.hpp"
#include "host/cli/terminal.hpp"
#include "host/kernel/kernel_btf.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace scxhost {
namespace {

std::string with_bold_head(std::string text, bool colour) {
    const std::size_t head = text.find('\n');
    return paint(text.substr(0, head), kBold, colour) + text.substr(head);
}

std::string_view kfunc_state(const std::string& name, const KernelBtf* kernel) {
    if (kernel == nullptr)
        return "not known here";
    if (kernel->malformed_kfunc(name))
        return "malformed";
    return kernel->has_func(name) ? "present" : "missing";
}

} // namespace

Result<std::string> options_text(const PreparedScheduler& scheduler, bool colour) {
    const std::vector<OptionDeclaration>& options = scheduler.object().declarations().options;
    if (options.empty())
        return std::string("no options\n");
    std::string text;
    for (const bool fault : {false, true}) {
        std::vector<std::vector<std::string>> rows = {
            {fault ? "FAULT KNOB" : "OPTION", "KIND", scheduler.binding().values.empty() ? "" : "VALUE", "MEANING"}};
        for (std::size_t i = 0; i < options.size(); ++i) {
            if (options[i].fault != fault)
                continue;
            const std::string kind = SCXHOST_TRY(describe_option(options[i]));
            rows.push_back({options[i].key, kind,
                            scheduler.binding().values.empty() ? "" : shorten_list(scheduler.binding().values[i].text),
                            options[i].help});
        }
        if (rows.size() > 1)
            text += (text.empty() ? "" : "\n") + with_bold_head(printable(format_table(rows)), colour);
    }
    return text;
}

Result<nlohmann::json> options_json(const PreparedScheduler& scheduler) {
    nlohmann::json result = nlohmann::json::array();
    const std::vector<OptionDeclaration>& options = scheduler.object().declarations().options;
    for (std::size_t i = 0; i < options.size(); ++i) {
        const OptionDeclaration& option = options[i];
        nlohmann::json entry = {{"key", option.key},     {"kind", to_string(option.kind)},
                                {"help", option.help},   {"description", SCXHOST_TRY(describe_option(option))},
                                {"fault", option.fault}, {"declared", option.tagged}};
        if (i < scheduler.binding().values.size()) {
            entry["value"] = scheduler.binding().values[i].text;
            entry["set"] = scheduler.binding().values[i].set;
        }
        if (!option.words.empty())
            entry["words"] = option.words;
        for (const auto& [name, text] :
             {std::pair("min", &option.min), std::pair("max", &option.max), std::pair("unit", &option.unit),
              std::pair("ops", &option.ops_member), std::pair("flag", &option.ops_flag)})
            if (!text->empty())
                entry[name] = *text;
        result.push_back(std::move(entry));
    }
    return result;
}

std::string statistics_text(const PreparedScheduler& scheduler, bool colour) {
    const std::vector<StatisticDeclaration>& statistics = scheduler.object().declarations().statistics;
    if (statistics.empty())
        return "no statistics\n";
    std::vector<std::vector<std::string>> rows = {{"STATISTIC", "KIND", "UNIT", "MEANING"}};
    for (const StatisticDeclaration& statistic : statistics)
        rows.push_back({statistic.name, std::string(to_string(statistic.kind)), statistic.unit, statistic.help});
    return with_bold_head(printable(format_table(rows)), colour);
}

nlohmann::json statistics_json(const PreparedScheduler& scheduler) {
    nlohmann::json result = nlohmann::json::array();
    for (const StatisticDeclaration& statistic : scheduler.object().declarations().statistics)
        result.push_back({{"name", statistic.name},
                          {"kind", to_string(statistic.kind)},
                          {"unit", statistic.unit},
                          {"group", statistic.group},
                          {"key", statistic.key},
                          {"help", statistic.help}});
    return result;
}

std::string kfuncs_text(const PreparedScheduler& scheduler, const KernelBtf* kernel) {
    std::vector<std::vector<std::string>> rows = {{"KFUNC", "NEEDED", "THIS KERNEL"}};
    for (const SchedulerObject::KfuncUse& use : scheduler.object().kfuncs())
        rows.push_back({use.name, use.weak ? "optional" : "yes", std::string(kfunc_state(use.name, kernel))});
    return printable(format_table(rows));
}

nlohmann::json kfuncs_json(const PreparedScheduler& scheduler, const KernelBtf* kernel) {
    nlohmann::json result = nlohmann::json::array();
    for (const SchedulerObject::KfuncUse& use : scheduler.object().kfuncs())
        result.push_back({{"name", use.name}, {"optional", use.weak}, {"state", kfunc_state(use.name, kernel)}});
    return result;
}

} // namespace scxhost
