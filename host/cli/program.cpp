// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/program.hpp"

#include "host/base/suggest.hpp"
#include "host/base/units.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/standard_output.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <sstream>

namespace scxhost {
namespace {

// CLI11 names a wrong word but knows no near one.
Error usage_error(const CLI::App& app, const CLI::ParseError& error, int argc, const char* const* argv) {
    Error result{
        .kind = ErrorKind::kUsage, .what = error.what(), .hint = fmt::format("see '{} --help'", app.get_name())};
    std::vector<std::string> words;
    const CLI::App* command = &app;
    for (const CLI::App* sub : app.get_subcommands({}))
        words.push_back(sub->get_name());
    if (argc > 1 && !words.empty()) {
        const std::string first = argv[1];
        if (std::ranges::find(words, first) != words.end()) {
            command = app.get_subcommand(first);
            result.hint = fmt::format("see 'scxhost {} --help'", first);
        } else if (!first.starts_with("-")) {
            result.what = fmt::format("there is no command {}", quote_text(first));
            result.hint = suggest_word(first, words, "commands");
            return result;
        }
    }
    if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr)
        return result;
    std::vector<std::string> flags;
    for (const CLI::Option* option : command->get_options())
        for (const std::string& flag : option->get_lnames())
            flags.push_back("--" + flag);
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const std::string name = word.substr(0, word.find('='));
        if (!name.starts_with("--") || command->get_option_no_throw(name) != nullptr)
            continue;
        if (const std::optional<std::string> near = nearest_word(name, flags))
            result.hint = fmt::format("did you mean \"{}\"?", *near);
        break;
    }
    return result;
}

} // namespace

// Libraries return errors; what is thrown all the same is a mistake, or memory is short. The destructors on the way
// here have detached what was attached.
CommandResult run_chosen(const std::function<CommandResult()>& chosen) try {
    return chosen();
} catch (const std::exception& exception) {
    return fail(ErrorKind::kInternal, fmt::format("scxhost failed: {}", exception.what()),
                "this is a mistake in scxhost, or it is out of memory");
}

int end_command(const CommandResult& result) {
    if (!result)
        print_diagnostic(Severity::kError, result.error());
    ExitStatus status = result ? *result : exit_status(result.error().kind);
    if (const Result<> written = finish_stdout(); !written) {
        print_diagnostic(Severity::kError, written.error());
        if (status == ExitStatus::kDone)
            status = exit_status(written.error().kind);
    }
    return static_cast<int>(status);
}

int run_program(CLI::App& app, std::vector<std::string> words, int argc, const char* const* argv,
                const std::function<CommandResult()>& chosen) {
    try {
        std::ranges::reverse(words); // as CLI11 takes them
        app.parse(std::move(words));
    } catch (const CLI::Success& request) { // --help, --version
        std::ostringstream text;
        app.exit(request, text, text);
        print(text.str());
        return end_command(ExitStatus::kDone);
    } catch (const CLI::ParseError& error) {
        print_diagnostic(Severity::kError, usage_error(app, error, argc, argv));
        return static_cast<int>(ExitStatus::kUsage);
    }
    return end_command(run_chosen(chosen));
}

Result<std::chrono::nanoseconds> duration_option(std::string_view option, const std::string& text,
                                                 std::chrono::nanoseconds least) {
    Result<std::chrono::nanoseconds> duration = parse_duration(text);
    if (!duration) {
        duration.error().kind = ErrorKind::kUsage;
        duration.error().what = fmt::format("{}: {}", option, duration.error().what);
    } else if (*duration < least) {
        return fail(ErrorKind::kUsage, least > std::chrono::nanoseconds(1)
                                           ? fmt::format("{}: expected {} or more", option, format_duration(least))
                                           : fmt::format("{}: expected a time above 0", option));
    }
    return duration;
}

} // namespace scxhost
