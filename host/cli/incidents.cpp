// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost incidents`: the records of failures. They are files, so no host needs to run.
#include "host/supervisor/incidents.hpp"

#include "host/cli/control.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"
#include "host/supervisor/reports.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <ranges>

namespace scxhost {
namespace {

struct IncidentsArguments {
    std::string folder; // empty: the default
    std::size_t last = 20;
    bool json = false;
    bool show = false;
    std::optional<std::uint32_t> number; // of show; the latest
};

std::string folder_of(const IncidentsArguments& arguments) {
    return arguments.folder.empty() ? Config::Incidents{}.dir.string() : arguments.folder;
}

std::string what_happened(const nlohmann::json& record) {
    return text_in(member(record, "error"), "message");
}

// The branch of a tree; empty: the machine's scheduler, or a record of a version without branches.
std::string branch_of(const nlohmann::json& record) {
    const std::string seat = text_in(record, "seat");
    return seat == kMachineSeat ? "" : seat;
}

CommandResult list(const IncidentsArguments& arguments) {
    const IncidentStore store(folder_of(arguments), 0);
    const std::vector<IncidentSummary> all = SCXHOST_TRY(store.list());
    const std::size_t shown = arguments.last == 0 ? all.size() : std::min(arguments.last, all.size());
    nlohmann::json entries = nlohmann::json::array();
    std::vector<std::vector<std::string>> rows = {{"NUMBER", "TIME", "SCHEDULER", "WHAT"}};
    for (const IncidentSummary& summary : all | std::views::drop(all.size() - shown)) {
        const Result<nlohmann::json> record = store.read(summary.number);
        const std::string what = record ? what_happened(*record) : record.error().what;
        const std::string branch = record ? branch_of(*record) : "";
        rows.push_back({fmt::format("{}", summary.number), summary.time,
                        branch.empty() ? summary.scheduler : fmt::format("{} at {}", summary.scheduler, branch), what});
        entries.push_back({{"number", summary.number},
                           {"time", summary.time},
                           {"scheduler", summary.scheduler},
                           {"branch", or_null(branch)},
                           {"bytes", summary.bytes},
                           {"path", summary.path.string()},
                           {"readable", record.has_value()},
                           {"what", what}});
    }
    if (arguments.json) {
        print_json({{"schema", kJsonSchema}, {"total", all.size()}, {"incidents", std::move(entries)}});
        return ExitStatus::kDone;
    }
    if (shown > 0)
        print(printable(format_table(rows, {true})));
    if (all.empty())
        print_note(fmt::format("there are no incident records in {}", folder_of(arguments)));
    else if (shown < all.size())
        print_note(fmt::format("{} older ones are not shown; --last 0 shows all", all.size() - shown));
    return ExitStatus::kDone;
}

// A value as people read it: texts without quotes.
std::string plain(const nlohmann::json& value) {
    return printable(value.is_string() ? value.get<std::string>()
                                       : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

// "key = value" for each member, each on a line of its own.
void add_members(std::vector<std::vector<std::string>>& rows, const std::string& title, const nlohmann::json& object) {
    if (!object.is_object())
        return;
    std::string label = title;
    for (const auto& [key, value] : object.items()) {
        rows.push_back({label, fmt::format("{} = {}", printable(key), plain(value))});
        label.clear();
    }
}

void print_text(std::string_view title, const std::string& text) {
    if (!text.empty())
        print(fmt::format("\n{}\n{}{}", paint(title, kBold, wants_colour(STDOUT_FILENO)), text,
                          text.ends_with('\n') ? "" : "\n"));
}

std::string describe_exit(const nlohmann::json& exit) {
    if (text_in(exit, "kind").empty())
        return {};
    const std::string message = text_in(exit, "message");
    return fmt::format("{} (code {}): {}{}{}", text_in(exit, "kind"), plain(member(exit, "code")),
                       text_in(exit, "reason"), message.empty() ? "" : ": ", message);
}

void print_record(const nlohmann::json& record) {
    std::vector<std::vector<std::string>> rows;
    const auto add = [&rows](const char* title, const std::string& value) {
        if (!value.empty())
            rows.push_back({title, value});
    };
    const nlohmann::json& exit = member(record, "exit");
    print(fmt::format("{} {}, {}\n", paint("incident", kBold, wants_colour(STDOUT_FILENO)),
                      plain(member(record, "number")), text_in(record, "time")));
    const std::string title = text_in(record, "title");
    add("scheduler", title.empty() ? text_in(record, "scheduler") : title);
    add("branch", branch_of(record));
    add("what", what_happened(record));
    add("exit", describe_exit(exit));
    if (member(record, "seconds").is_number())
        add("ran", fmt::format("{:.1f} s", number_in(record, "seconds")));
    add("in place of", text_in(record, "from"));
    for (const char* key : {"build_id", "file", "config", "kernel"})
        add(key, text_in(record, key));
    if (!text_in(record, "version").empty())
        add("host", fmt::format("scxhost {}, process {}", text_in(record, "version"), plain(member(record, "pid"))));
    const nlohmann::json& process = member(record, "process");
    if (process.is_object()) {
        std::string command = printable(text_in(process, "program"));
        for (const nlohmann::json& argument : member(process, "args"))
            command += " " + plain(argument);
        const std::string end = text_in(process, "end");
        add("process", fmt::format("{}: {}{}", plain(member(process, "pid")), command,
                                   end.empty() ? "" : fmt::format("; {}", printable(end))));
    }
    add_members(rows, "options", member(record, "options"));
    add_members(rows, "statistics", member(record, "statistics"));
    print(format_table(rows));
    print_text("details", text_in(member(record, "error"), "detail"));
    if (text_in(exit, "dump") != text_in(member(record, "error"), "detail"))
        print_text("dump", text_in(exit, "dump"));
    print_text("last lines of its output", text_in(record, "output"));
    print_text("kernel log", text_in(record, "kernel_log"));
}

CommandResult show(const IncidentsArguments& arguments) {
    const IncidentStore store(folder_of(arguments), 0);
    const std::vector<IncidentSummary> all = SCXHOST_TRY(store.list());
    if (!arguments.number && all.empty())
        return fail(ErrorKind::kUsage, fmt::format("there are no incident records in {}", folder_of(arguments)));
    nlohmann::json record = SCXHOST_TRY(store.read(arguments.number ? *arguments.number : all.back().number));
    if (arguments.json)
        print_json({{"schema", kJsonSchema}, {"incident", std::move(record)}});
    else
        print_record(record);
    return ExitStatus::kDone;
}

// The folder is root's and its group's.
CommandResult with_hint(CommandResult result) {
    if (!result && result.error().kind == ErrorKind::kPermission && result.error().hint.empty())
        result.error().hint =
            "the records may hold what other users' tasks do, so they are root's: sudo scxhost incidents";
    return result;
}

} // namespace

void add_incidents(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("incidents", "Show the records of schedulers that failed");
    const auto arguments = std::make_shared<IncidentsArguments>();
    command
        ->add_option("--dir", arguments->folder, "The folder of the records (default: that of a default configuration)")
        ->type_name("DIR");
    command->add_option("--last", arguments->last, "How many to list; 0: all (default: 20)")->type_name("N");
    command->add_flag("--json", arguments->json, "JSON in place of text");
    CLI::App* one = command->add_subcommand("show", "All of one record");
    one->add_option("NUMBER", arguments->number, "Which; without it the latest")->type_name("");
    one->fallthrough(); // --json and --dir belong to both
    one->footer("\nTakes --dir and --json too.\n\nExamples:\n  scxhost incidents show\n"
                "  scxhost incidents show 7 --json | jq .incident.exit");
    one->callback([arguments] { arguments->show = true; });
    command->footer(
        "\nEach failure leaves a record: why the scheduler left, its options and last statistics, the kernel's "
        "dump and the end\nof its log. No host needs to run.\n\nExamples:\n  scxhost incidents\n"
        "  scxhost incidents show\n  scxhost incidents show 7 --json | jq .incident.exit");
    command->callback([arguments, &chosen = line.chosen] {
        chosen = [arguments] { return with_hint(arguments->show ? show(*arguments) : list(*arguments)); };
    });
}

} // namespace scxhost
