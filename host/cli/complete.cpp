// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/complete.hpp"

#include "host/cli/control.hpp"
#include "host/cli/terminal.hpp"
#include "host/compare/contender.hpp"
#include "host/config/selection.hpp"
#include "host/control/metrics.hpp"
#include "host/measure/builtin_workloads.hpp"
#include "host/plugins/plugin_directory.hpp"
#include "host/supervisor/incidents.hpp"
#include "host/supervisor/prepared_scheduler.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ranges>
#include <set>
#include <utility>

namespace scxhost {
namespace {

// Whoever presses Tab waits for the host's answer, which is there at once but in a swap.
constexpr auto kPatience = std::chrono::seconds(2);

bool takes_value(const CLI::Option& option) {
    return option.get_items_expected_max() > 0;
}

// `flag` with its dashes; nullptr when the command, or one that it belongs to, has none of that name.
const CLI::Option* find_option(const CLI::App* command, const std::string& flag) {
    for (; command != nullptr; command = command->get_parent())
        if (const CLI::Option* option = command->get_option_no_throw(flag);
            option != nullptr && !option->get_positional())
            return option;
    return nullptr;
}

const CLI::App* find_command(const CLI::App& command, const std::string& name) {
    for (const CLI::App* sub : command.get_subcommands({}))
        if (sub->get_name() == name)
            return sub;
    return nullptr;
}

std::vector<const CLI::Option*> positionals(const CLI::App& command) {
    return command.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

// What the finished words of a line say.
struct Line {
    const CLI::App* command;
    std::vector<std::string> positionals;
    std::vector<std::pair<const CLI::Option*, std::string>> options;
    const CLI::Option* pending = nullptr; // its value is the unfinished word
    bool behind_dashes = false;           // then what follows is a program's own

    [[nodiscard]] bool has(const CLI::Option* option) const {
        return std::ranges::find(options, option, [](const auto& one) { return one.first; }) != options.end();
    }
    // Of an option by its long name, as often as it is given.
    [[nodiscard]] std::vector<std::string> values(std::string_view name) const {
        std::vector<std::string> result;
        for (const auto& [option, value] : options)
            if (std::ranges::find(option->get_lnames(), name) != option->get_lnames().end())
                result.push_back(value);
        return result;
    }
    [[nodiscard]] std::string value(std::string_view name) const {
        const std::vector<std::string> all = values(name);
        return all.empty() ? std::string() : all.back();
    }

    void read(const std::string& word);
    void read_option(const std::string& word);
};

void Line::read(const std::string& word) {
    if (behind_dashes)
        return;
    if (pending != nullptr) {
        options.emplace_back(std::exchange(pending, nullptr), word);
    } else if (word == "--") {
        behind_dashes = true;
    } else if (word.starts_with('-') && word.size() > 1) {
        read_option(word);
    } else if (const CLI::App* sub = find_command(*command, word); sub != nullptr) {
        command = sub;
        positionals.clear();
    } else {
        positionals.push_back(word);
    }
}

void Line::read_option(const std::string& word) {
    const bool is_long = word.starts_with("--");
    const std::size_t end = is_long ? std::min(word.find('='), word.size()) : 2;
    const CLI::Option* option = find_option(command, word.substr(0, end));
    if (option == nullptr)
        return;
    if (!takes_value(*option) || end < word.size())
        options.emplace_back(option, word.substr(std::min(word.size(), is_long ? end + 1 : end)));
    else
        pending = option;
}

Selection selection_of(const Line& line) {
    return {.what = line.positionals.empty() ? std::string() : line.positionals.front(),
            .object = line.value("object"),
            .program = {},
            .args = {},
            .assignments = {},
            .plugin_dirs = line.values("plugin-dir")};
}

class Completer {
public:
    Completer(const Line& line, std::string word)
        : line_(line)
        , word_(std::move(word)) {}

    Completions run();

private:
    void offer(const std::string& word, std::string_view help);
    void offer_options();
    void offer_commands();
    void offer_positional();
    void offer_value(const CLI::Option& option);
    void offer_plugins();
    void offer_incidents();
    void offer_branches();
    void offer_settings();
    void offer_setting_words(std::string_view key);
    void offer_host_settings();
    [[nodiscard]] std::vector<OptionDeclaration> scheduler_options() const;
    [[nodiscard]] bool may_set(std::string_view key) const;

    const Line& line_;
    std::string word_;
    std::string prefix_; // "--set=", which is no part of the value but of the word
    Completions result_;
};

void Completer::offer(const std::string& word, std::string_view help) {
    if (!(prefix_ + word).starts_with(word_))
        return;
    std::string line(help.substr(0, help.find('\n')));
    std::ranges::replace(line, '\t', ' ');
    result_.candidates.push_back({printable(prefix_ + word), printable(line)});
}

void Completer::offer_options() {
    std::set<std::string> offered;
    for (const CLI::App* command = line_.command; command != nullptr; command = command->get_parent()) {
        for (const CLI::Option* option : command->get_options()) {
            const bool again = option->get_items_expected_max() > 1;
            const std::set<CLI::Option*> others = option->get_excludes();
            const bool excluded = std::ranges::any_of(others, [&](const CLI::Option* other) {
                return line_.has(other) || (other->get_positional() && !line_.positionals.empty());
            });
            if (option->get_group().empty() || excluded || (line_.has(option) && !again))
                continue;
            for (const std::string& name : option->get_lnames())
                if (offered.insert(name).second)
                    offer("--" + name, option->get_description());
        }
        // Only some commands take the options of the one that they belong to.
        if (!command->get_fallthrough())
            break;
    }
}

void Completer::offer_commands() {
    if (!line_.positionals.empty())
        return;
    for (const CLI::App* command : line_.command->get_subcommands({}))
        offer(command->get_name(), command->get_description());
}

void Completer::offer_positional() {
    const std::vector<const CLI::Option*> known = positionals(*line_.command);
    if (known.empty())
        return;
    const bool again = known.back()->get_items_expected_max() > 1; // the last one may be several
    if (line_.positionals.size() >= known.size() && !again)
        return;
    const CLI::Option& option = *known[std::min(line_.positionals.size(), known.size() - 1)];
    for (const CLI::Option* other : option.get_excludes())
        if (line_.has(other))
            return;
    offer_value(option);
}

// By what the command line calls a value: the table of the kinds of values that there are.
void Completer::offer_value(const CLI::Option& option) {
    const std::string kind = option.get_positional() ? option.get_name(true) : option.get_type_name();
    if (kind == "WHAT") {
        if (line_.command->get_name() == "compare")
            offer(std::string(kKernelsOwn), "the kernel's own scheduler");
        offer_plugins();
        result_.files = OfferedFiles::kSchedulers;
    } else if (kind == "WORKLOAD") {
        for (const BuiltinWorkload& workload : builtin_workloads())
            offer(fmt::format("{}{}", kBuiltinWorkload, workload.name), workload.summary);
        result_.files = OfferedFiles::kAll;
    } else if (kind == "FILE" || kind == "PATH") {
        result_.files = OfferedFiles::kAll;
    } else if (kind == "DIR") {
        result_.files = OfferedFiles::kFolders;
    } else if (kind == "KEY=VALUE") {
        offer_settings();
    } else if (kind == "NUMBER") {
        offer_incidents();
    } else if (kind == "BRANCH") {
        offer_branches();
    } else if (kind == "FORMAT") {
        for (const std::string_view format : kMetricsFormats)
            offer(std::string(format), "");
    } else if (kind == "SHELL") {
        for (const CompletionScript& script : completion_scripts())
            offer(std::string(script.shell), "");
    }
}

void Completer::offer_plugins() {
    const auto folders = plugin_folders(line_.values("plugin-dir"));
    if (!folders)
        return;
    for (const ListedPlugin& plugin : list_plugins(*folders))
        if (plugin.file)
            offer(plugin.file->info.name, plugin.file->info.summary);
}

// Of the host that the command would talk to.
void Completer::offer_branches() {
    Result<ControlClient> host = connect_to_host({.socket = line_.value("socket")});
    if (!host)
        return;
    const auto status = host->call("status", nlohmann::json::object(), ControlClient::Clock::now() + kPatience);
    if (!status || !member(*status, "below").is_array())
        return;
    for (const nlohmann::json& branch : member(*status, "below")) {
        const std::string name = text_in(branch, "seat");
        const std::string runs = text_in(member(branch, "scheduler"), "title");
        if (!name.empty())
            offer(name, text_in(branch, "cgroup") + ", " + (runs.empty() ? text_in(branch, "phase") : runs));
    }
}

void Completer::offer_incidents() {
    const std::string folder = line_.value("dir");
    const auto records = IncidentStore(folder.empty() ? Config::Incidents{}.dir.string() : folder, 0).list();
    if (!records)
        return;
    for (const IncidentSummary& record : *records | std::views::reverse)
        offer(std::to_string(record.number), record.scheduler + ", " + record.time);
}

std::vector<OptionDeclaration> Completer::scheduler_options() const {
    const auto config = select_config(selection_of(line_));
    if (!config)
        return {};
    const auto scheduler = PreparedScheduler::open(*config);
    return scheduler ? (*scheduler)->object().declarations().options : std::vector<OptionDeclaration>{};
}

// What a request may not change of a running host (docs/control.md).
bool Completer::may_set(std::string_view key) const {
    return line_.command->get_name() != "swap" || (!key.starts_with("control.") && !key.starts_with("incidents."));
}

void Completer::offer_settings() {
    const std::string value = word_.substr(prefix_.size());
    if (const std::size_t equals = value.find('='); equals != std::string::npos) {
        prefix_ += value.substr(0, equals + 1);
        offer_setting_words(value.substr(0, equals));
        return;
    }
    for (const OptionDeclaration& option : scheduler_options())
        offer(option.key + "=", option.help);
    offer_host_settings();
}

// The sections first: all keys of the host at once would bury the scheduler's own.
void Completer::offer_host_settings() {
    const std::string value = word_.substr(prefix_.size());
    std::string section;
    for (const ConfigKey& key : config_keys_to_set()) {
        if (!may_set(key.key))
            continue;
        const std::string own = key.key.substr(0, key.key.find('.') + 1);
        if (value.starts_with(own))
            offer(key.key + "=", key.help);
        else if (std::exchange(section, own) != own)
            offer(own, "settings of the host");
    }
}

void Completer::offer_setting_words(std::string_view key) {
    for (const ConfigKey& known : config_keys_to_set())
        if (known.key == key && may_set(key))
            for (const std::string& word : known.words)
                offer(word, "");
    for (const OptionDeclaration& option : scheduler_options()) {
        if (option.key != key)
            continue;
        if (option.kind == OptionKind::kBool)
            for (const char* word : {"true", "false"})
                offer(word, "");
        for (const std::string& word : option.words)
            offer(word, "");
    }
}

Completions Completer::run() {
    const std::size_t equals = word_.find('=');
    if (line_.behind_dashes) {
        result_.files = OfferedFiles::kAll;
    } else if (line_.pending != nullptr) {
        offer_value(*line_.pending);
    } else if (word_.starts_with("--") && equals != std::string::npos) {
        const CLI::Option* option = find_option(line_.command, word_.substr(0, equals));
        prefix_ = word_.substr(0, equals + 1);
        if (option != nullptr && takes_value(*option))
            offer_value(*option);
    } else if (word_.starts_with('-')) {
        offer_options();
    } else {
        offer_commands();
        offer_positional();
    }
    return std::move(result_);
}

std::string_view to_string(OfferedFiles files) {
    switch (files) {
    case OfferedFiles::kFolders:
        return "folders";
    case OfferedFiles::kAll:
        return "files";
    case OfferedFiles::kSchedulers:
        return "schedulers";
    case OfferedFiles::kNone:
        break;
    }
    return "none";
}

} // namespace

Completions complete(const CLI::App& root, std::span<const std::string> words) {
    Line line{.command = &root, .positionals = {}, .options = {}};
    if (words.empty())
        return Completer(line, "").run();
    for (const std::string& word : words.first(words.size() - 1))
        line.read(word);
    return Completer(line, words.back()).run();
}

std::string completion_text(const Completions& completions) {
    std::string text(to_string(completions.files));
    text += '\n';
    for (const Candidate& candidate : completions.candidates)
        text += candidate.word + '\t' + candidate.help + '\n';
    return text;
}

} // namespace scxhost
