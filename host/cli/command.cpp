// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/command.hpp"

#include "host/cli/compare.hpp"
#include "host/cli/complete.hpp"
#include "host/cli/program.hpp"
#include "host/cli/standard_output.hpp"
#include "host/plugins/plugin_file.hpp"

#include <CLI/CLI.hpp>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

namespace scxhost {
namespace {

constexpr std::string_view kFooter = R"(
Examples:
  scxhost check /etc/scxhost/qmap.toml       everything that can be known without attaching
  scxhost run qmap.toml --for 10s            attach, show statistics, detach after ten seconds
  scxhost run simple --set fifo=true         a plugin by name, with an option
  scxhost run --object ./mine.bpf.o          somebody's compiled sched_ext object, as it is
  scxhost run --program /usr/bin/scx_lavd    somebody's scheduler program, as it is
  scxhost options qmap                       what can be set, and what it means
  scxhost new my_sched                       a plugin to start from
)";

// "Exit status: 0 done; 1 ...", in lines as long as the others.
std::string exit_status_text() {
    constexpr std::size_t kColumns = 110;
    std::string text = "Exit status:";
    std::size_t line = text.size();
    const auto add = [&](std::string_view word) {
        const bool fits = line + 1 + word.size() <= kColumns;
        text += fits ? ' ' : '\n';
        line = fits ? line + 1 + word.size() : word.size();
        text += word;
    };
    for (const ExitStatusMeaning& one : kExitStatusMeanings) {
        const bool last = &one == &kExitStatusMeanings.back();
        std::istringstream words(fmt::format("{} {}{}", static_cast<int>(one.status), one.meaning, last ? "." : ";"));
        for (std::string word; words >> word;)
            add(word);
    }
    return text;
}

std::string version_text() {
    return fmt::format("scxhost {} (plugin contract {}, libbpf {})", SCXHOST_VERSION, to_string(host_contract()),
                       libbpf_version_string());
}

// Behind "--" stand the arguments of the program that --program names, or the workload of a comparison, and none of
// ours.
std::vector<std::string> separate_program_arguments(int argc, const char* const* argv) {
    std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    const auto dashes = std::ranges::find(words, "--");
    const bool compares = !words.empty() && words.front() == "compare";
    const bool names_program = std::any_of(words.begin(), dashes, [](const std::string& word) {
        return word == "--program" || word.starts_with("--program=");
    });
    if ((!names_program && !compares) || dashes == words.end())
        return words;
    std::vector<std::string> result(words.begin(), dashes);
    for (auto argument = dashes + 1; argument != words.end(); ++argument)
        result.push_back((compares ? "--workload-word=:" : "--program-arg=:") + *argument);
    return result;
}

} // namespace

void add_plugin_dirs(CLI::App& command, std::vector<std::string>& plugin_dirs) {
    command.add_option("--plugin-dir", plugin_dirs, "Look for plugins in this folder (may be repeated)")
        ->type_name("DIR")
        ->allow_extra_args(false);
}

void add_selection(CLI::App& command, Selection& selection, std::string_view what_help, bool required,
                   bool with_program) {
    CLI::Option* what = command.add_option("WHAT", selection.what, std::string(what_help))->type_name("");
    command
        .add_option("--object", selection.object,
                    "A compiled sched_ext object, whatever the file is called; in place of WHAT")
        ->type_name("FILE")
        ->excludes(what);
    if (with_program) {
        command
            .add_option("--program", selection.program,
                        "A scheduler program of its own to host, unmodified; in place of WHAT. Its arguments\n"
                        "stand behind \"--\"")
            ->type_name("FILE")
            ->excludes(what)
            ->excludes("--object");
        // What separate_program_arguments() makes of them. The mark in front keeps empty ones.
        command.add_option("--program-arg", selection.args)
            ->group("")
            ->allow_extra_args(false)
            ->delimiter('\0')
            ->transform([](const std::string& marked) { return marked.substr(1); }, "");
    }
    if (required)
        command.parse_complete_callback([&selection] {
            if (selection.what.empty() && selection.object.empty() && selection.program.empty())
                throw CLI::RequiredError("WHAT");
        });
    command
        .add_option("-s,--set", selection.assignments,
                    "Override a setting: an option of the scheduler (slice=10ms) or one of the host\n"
                    "(swap.probation=5s); may be repeated")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    add_plugin_dirs(command, selection.plugin_dirs);
}

std::string json_line(const nlohmann::json& document) {
    // Foreign texts (task names in a dump) need not be UTF-8.
    return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void print_json(const nlohmann::json& document) {
    print(json_line(document));
    (void)flush_stdout();
}

void add_commands(CommandLine line) {
    CLI::App& app = line.app;
    app.description(
        "One host for many Linux CPU schedulers (sched_ext): attaches a scheduler that a TOML file selects, "
        "watches it, and tells the truth about it.");
    app.name("scxhost");
    app.footer(std::string(kFooter) + "\n" + exit_status_text());
    app.set_version_flag("-V,--version", version_text());
    app.require_subcommand(1);
    app.get_formatter()->column_width(32);
    add_run(line);
    add_check(line);
    add_list(line);
    add_inspect(line);
    add_options(line);
    add_info(line);
    add_compare(line);
    add_new(line);
    add_status(line);
    add_stats(line);
    add_top(line);
    add_metrics(line);
    add_swap(line);
    add_stop(line);
    add_resume(line);
    add_events(line);
    add_incidents(line);
    add_dbus(line);
    add_completion(line);
}

int run_command_line(int argc, const char* const* argv) {
    CLI::App app;
    std::function<CommandResult()> chosen;
    add_commands({app, chosen});
    if (argc > 1 && argv[1] == kCompleteCommand) {
        const std::vector<std::string> words(argv + 2, argv + argc);
        print(completion_text(complete(app, words)));
        return end_command(ExitStatus::kDone);
    }
    if (argc > 1 && argv[1] == kWorkloadCommand) {
        const std::vector<std::string> words(argv + 2, argv + argc);
        return end_command(run_chosen([&words] { return run_workload_command(words); }));
    }
    return run_program(app, separate_program_arguments(argc, argv), argc, argv, chosen);
}

} // namespace scxhost
