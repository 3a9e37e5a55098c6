// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost dbus`: the running host on a message bus, for desktop tools.
#include "host/cli/command.hpp"
#include "host/cli/log.hpp"
#include "host/dbus/bridge.hpp"

#include <CLI/CLI.hpp>
#include <signal.h>

namespace scxhost {
namespace {

struct DbusArguments {
    std::string config = "/etc/scxhost/scxhost.toml";
    std::string socket;
    std::string address;
};

CommandResult dbus(const DbusArguments& arguments) {
    const Log log(LogLevel::kInfo);
    EventLoop loop = SCXHOST_TRY(EventLoop::make());
    bool asked_to_end = false;
    for (const int signal : {SIGINT, SIGTERM})
        SCXHOST_TRY(loop.on_signal(signal, [&] {
            asked_to_end = true;
            loop.stop();
        }));
    const std::unique_ptr<Bridge> bridge = SCXHOST_TRY(
        Bridge::start(loop, {.address = arguments.address,
                             .socket = arguments.socket,
                             .read = [path = arguments.config] { return load_config(path); },
                             .warn = [&log](const Error& error) { log.diagnostic(Severity::kWarning, error); }}));
    SCXHOST_TRY(loop.run());
    if (bridge->failure())
        return fail(*bridge->failure());
    if (asked_to_end)
        return ExitStatus::kDone;
    // Unlike what else can go wrong, this may be over the next time: a service manager is to try again.
    log.diagnostic(Severity::kError, {.kind = ErrorKind::kIo,
                                      .what = "the bus has hung up",
                                      .hint = "is it running? with systemd: systemctl status dbus"});
    return ExitStatus::kSchedulerFailed;
}

} // namespace

void add_dbus(CommandLine line) {
    CLI::App* command = line.app.add_subcommand("dbus", "Serve desktop tools on D-Bus, for the running host");
    const auto arguments = std::make_shared<DbusArguments>();
    command
        ->add_option("FILE", arguments->config,
                     "The host's configuration (default: /etc/scxhost/scxhost.toml), whose section [dbus] says what\n"
                     "may be chosen")
        ->type_name("");
    command->add_option("--socket", arguments->socket, "The host's control socket (default: the configuration's)")
        ->type_name("PATH");
    command
        ->add_option("--address", arguments->address,
                     "Of the bus, such as unix:path=/run/bus (default: the system bus)")
        ->type_name("ADDRESS");
    command->footer("\nThe bus starts it by itself when a tool asks for org.scx.Loader, where the package's service is "
                    "installed.\n\nExamples:\n  scxhost dbus\n"
                    "  busctl call org.scx.Loader /org/scx/Loader org.scx.Loader SwitchScheduler su interactive 1\n"
                    "  busctl get-property org.scx.Loader /org/scx/Loader org.scx.Loader CurrentScheduler");
    command->callback([arguments, &chosen = line.chosen] { chosen = [arguments] { return dbus(*arguments); }; });
}

} // namespace scxhost
