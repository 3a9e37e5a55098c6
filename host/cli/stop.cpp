// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost stop` and `scxhost resume`: the kernel's own scheduler for a while, with the host staying.
#include "host/cli/control.hpp"
#include "host/cli/standard_output.hpp"
#include "host/cli/terminal.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace scxhost {
namespace {

struct OrderArguments {
    ControlArguments control;
    std::string at;
};

// An order, and what is said when it was taken: of the scheduler above all, and of a branch.
struct Order {
    const char* method;
    const char* said;
    const char* said_of_branch;
};

CommandResult give(const OrderArguments& arguments, const Order& order) {
    nlohmann::json params = nlohmann::json::object();
    if (!arguments.at.empty())
        params["at"] = arguments.at;
    nlohmann::json answer = SCXHOST_TRY(ask_host(arguments.control, order.method, std::move(params)));
    if (arguments.control.json) {
        answer["schema"] = kJsonSchema;
        print_json(answer);
    } else if (arguments.at.empty()) {
        print(fmt::format("{}\n", order.said));
    } else {
        print(fmt::format("{}: {}\n", printable(arguments.at), order.said_of_branch));
    }
    return ExitStatus::kDone;
}

void add_order(CommandLine line, const Order& order, const char* help, const char* footer) {
    CLI::App* command = line.app.add_subcommand(order.method, help);
    const auto arguments = std::make_shared<OrderArguments>();
    command->add_option("BRANCH", arguments->at, "Its name; without it the scheduler above all")->type_name("");
    add_control(*command, arguments->control);
    command->footer(footer);
    command->callback([=, &chosen = line.chosen] { chosen = [=] { return give(*arguments, order); }; });
}

} // namespace

void add_stop(CommandLine line) {
    add_order(line,
              {.method = "stop",
               .said = "stopped: the kernel's own scheduler runs until scxhost resume or swap",
               .said_of_branch = "stopped: the scheduler above has its tasks until scxhost resume or swap"},
              "Detach the scheduler; the host stays",
              "\nThe host stays and waits; to end it, end its process (systemctl stop scxhost). The branches of a tree "
              "wait\nwhile the scheduler above all is stopped.\n\nExamples:\n"
              "  scxhost stop\n  scxhost stop games\n  scxhost resume");
}

void add_resume(CommandLine line) {
    add_order(
        line,
        {.method = "resume",
         .said = "resumed: the wanted scheduler is being prepared; scxhost status shows what becomes of it",
         .said_of_branch = "resumed: the wanted scheduler is being prepared; scxhost status shows what becomes of it"},
        "Run the last wanted scheduler again",
        "\nForgets failures and quarantine, and asks for the scheduler that was wanted last.\n\nExamples:\n"
        "  scxhost resume && scxhost status\n  scxhost resume games");
}

} // namespace scxhost
