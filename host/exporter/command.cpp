// SPDX-License-Identifier: GPL-2.0-only
#include "host/exporter/command.hpp"

#include "host/base/units.hpp"
#include "host/cli/log.hpp"
#include "host/cli/program.hpp"
#include "host/control/client.hpp"
#include "host/exporter/http_server.hpp"
#include "host/exporter/responder.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

// Prometheus waits for ten unless it is told otherwise: a host that does not answer is to be an answer.
constexpr auto kAnswerTime = std::chrono::seconds(8);

Result<nlohmann::json> ask_host(const std::string& socket) {
    const ControlClient::Clock::time_point deadline = ControlClient::Clock::now() + kAnswerTime;
    ControlClient client = SCXHOST_TRY(
        ControlClient::connect(socket.empty() ? Config::Control{}.socket : std::filesystem::path(socket), deadline));
    return client.call("metrics", nlohmann::json::object(), deadline);
}

// Those that the service manager has opened, else one of our own.
Result<std::vector<UniqueFd>> open_sockets(const ExporterArguments& arguments) {
    std::vector<UniqueFd> sockets;
    const int given = ::sd_listen_fds(/*unset_environment=*/1);
    if (given < 0)
        return fail_errno(ErrorKind::kUsage, "the service manager's sockets cannot be used", -given);
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + given; ++fd) {
        sockets.emplace_back(fd);
        if (::sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) <= 0 && ::sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) <= 0)
            return fail(ErrorKind::kUsage, "the service manager gives a socket that does not listen on TCP",
                        "write ListenStream=ADDRESS:PORT in its socket unit");
    }
    if (given > 0 && !arguments.listen.empty())
        return fail(ErrorKind::kUsage, "--listen, and the service manager has opened sockets already",
                    "write the address as ListenStream= in its socket unit");
    if (given == 0)
        sockets.push_back(
            SCXHOST_TRY(listen_at(arguments.listen.empty() ? ExporterArguments::kAddress : arguments.listen)));
    return sockets;
}

// What is wrong is said once, and again when it is something else.
class Asker {
public:
    Asker(const Log& log, std::string socket)
        : log_(log)
        , socket_(std::move(socket)) {}

    Result<nlohmann::json> operator()() {
        Result<nlohmann::json> answer = ask_host(socket_);
        const std::string failure = answer ? "" : answer.error().what;
        if (failure != std::exchange(failure_, failure) && !answer)
            log_.diagnostic(Severity::kWarning, answer.error());
        return answer;
    }

private:
    const Log& log_;
    std::string socket_;
    std::string failure_;
};

CommandResult serve(const ExporterArguments& arguments) {
    const Log log(LogLevel::kInfo);
    std::chrono::nanoseconds idle{};
    if (!arguments.idle.empty())
        idle = SCXHOST_TRY(duration_option("--idle", arguments.idle, std::chrono::nanoseconds(0)));
    std::vector<UniqueFd> sockets = SCXHOST_TRY(open_sockets(arguments));
    EventLoop loop = SCXHOST_TRY(EventLoop::make());
    for (const int signal : {SIGINT, SIGTERM})
        SCXHOST_TRY(loop.on_signal(signal, [&loop] { loop.stop(); }));
    // Who comes between the timer and the end waits in the service manager's socket, which starts us again.
    EventLoop::Watch end;
    const auto restart_idle_time = [&] {
        if (!arguments.idle.empty())
            if (Result<EventLoop::Watch> timer = loop.timer(idle, [&loop] { loop.stop(); }))
                end = *std::move(timer);
    };
    restart_idle_time();
    for (const UniqueFd& socket : sockets)
        log.diagnostic(Severity::kNote, {.what = fmt::format("serves http://{}/metrics", address_of(socket.get()))});
    Responder responder(Asker(log, arguments.socket));
    const auto server = SCXHOST_TRY(HttpServer::start(
        loop, std::move(sockets),
        {.respond = [&](std::string_view request, bool loopback) { return responder.respond(request, loopback); },
         .too_long = Responder::too_long(),
         .came = restart_idle_time},
        {}));
    SCXHOST_TRY(loop.run());
    return ExitStatus::kDone;
}

} // namespace

std::shared_ptr<ExporterArguments> add_exporter(CLI::App& app) {
    auto arguments = std::make_shared<ExporterArguments>();
    app.name("scxhost-exporter");
    app.description("Serve the running host's metrics over HTTP, for Prometheus and what else reads OpenMetrics");
    app.set_version_flag("-V,--version", std::string("scxhost-exporter ") + SCXHOST_VERSION);
    app.get_formatter()->column_width(32);
    app.add_option("--listen", arguments->listen,
                   fmt::format("Where to listen: 127.0.0.1:PORT or [::1]:PORT, or another address of this\n"
                               "machine (default: {})",
                               ExporterArguments::kAddress))
        ->type_name("ADDRESS");
    app.add_option("--socket", arguments->socket,
                   "The host's control socket (default: that of a default configuration)")
        ->type_name("PATH");
    app.add_option("--idle", arguments->idle, "End when nobody has asked for so long (default: stay)")
        ->type_name("TIME");
    app.footer("\nEach scrape of /metrics asks the host, once a second at most; without a host its answer has the "
               "status 503 and says\nwhy. It needs to be in the group of the host's control.readers, and no more. The "
               "package's socket unit starts it by\nitself.\n\nExamples:\n  scxhost-exporter\n"
               "  scxhost-exporter --listen [::1]:10616 --idle 5m\n  curl http://127.0.0.1:10616/metrics\n"
               "  systemctl enable --now scxhost-exporter.socket");
    return arguments;
}

int run_exporter(int argc, const char* const* argv) {
    CLI::App app;
    const std::shared_ptr<ExporterArguments> arguments = add_exporter(app);
    return run_program(app, std::vector<std::string>(argv + std::min(argc, 1), argv + argc), argc, argv,
                       [&arguments] { return serve(*arguments); });
}

} // namespace scxhost
