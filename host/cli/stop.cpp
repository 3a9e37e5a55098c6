// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost stop` and `scxhost resume`: the kernel's own scheduler for a while, with the host staying.
#include "host/cli/control.hpp"
#include "host/cli/standard_output.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace scxhost {
namespace {

CommandResult order(const ControlArguments& arguments, const char* method, const char* said) {
    nlohmann::json answer = SCXHOST_TRY(ask_host(arguments, method));
    if (arguments.json) {
        answer["schema"] = kJsonSchema;
        print_json(answer);
    } else {
        print(fmt::format("{}\n", said));
    }
    return ExitStatus::kDone;
}

void add_order(CommandLine line, const char* method, const char* help, const char* said, const char* footer) {
    CLI::App* command = line.app.add_subcommand(method, help);
    const auto arguments = std::make_shared<ControlArguments>();
    add_control(*command, *arguments);
    command->footer(footer);
    command->callback([=, &chosen = line.chosen] { chosen = [=] { return order(*arguments, method, said); }; });
}

} // namespace

void add_stop(CommandLine line) {
    add_order(line, "stop", "Detach the scheduler; the host stays",
              "stopped: the kernel's own scheduler runs until scxhost resume or swap",
              "\nThe host stays and waits; to end it, end its process (systemctl stop scxhost).\n\nExamples:\n"
              "  scxhost stop\n  scxhost resume");
}

void add_resume(CommandLine line) {
    add_order(line, "resume", "Run the last wanted scheduler again",
              "resumed: the wanted scheduler is being prepared; scxhost status shows what becomes of it",
              "\nForgets failures and quarantine, and asks for the scheduler that was wanted last.\n\nExamples:\n"
              "  scxhost resume && scxhost status");
}

} // namespace scxhost
