// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost completion`: the script that makes a shell complete the words of scxhost.
#include "host/cli/command.hpp"
#include "host/cli/complete.hpp"
#include "host/cli/standard_output.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>

namespace scxhost {

void add_completion(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("completion", "Write the script that completes words in a shell");
    const auto shell = std::make_shared<std::string>();
    std::vector<std::string> shells;
    for (const CompletionScript& script : completion_scripts())
        shells.emplace_back(script.shell);
    command->add_option("SHELL", *shell, "bash, zsh or fish")
        ->required()
        ->type_name("")
        ->check(CLI::IsMember(shells).description(""));
    command->footer(R"(
The script asks scxhost at each Tab what may follow: commands, options, plugins, the options of the scheduler that the
line names, branches of the running host, numbers of incident records. An installation has the scripts where the shells
look for them.

Examples:
  source <(scxhost completion bash)
  scxhost completion zsh > ~/.zsh/functions/_scxhost
  scxhost completion fish | source)");
    command->callback([shell, &chosen = line.chosen] {
        chosen = [shell]() -> CommandResult {
            const std::span<const CompletionScript> scripts = completion_scripts();
            print(std::string(std::ranges::find(scripts, *shell, &CompletionScript::shell)->text));
            return ExitStatus::kDone;
        };
    });
}

} // namespace scxhost
