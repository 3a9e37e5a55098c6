// SPDX-License-Identifier: GPL-2.0-only
#include "host/compare/compared_host.hpp"

#include "host/base/error_json.hpp"
#include "host/base/json_fields.hpp"
#include "host/config/config.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

// A scheduler is good at once: whether it stays is looked at after the workload.
constexpr const char* kNoProbation = "swap.probation=0s";
// Of an answer: preparing a large scheduler on a slow machine takes seconds.
constexpr auto kAnswerTime = std::chrono::minutes(5);
constexpr auto kPause = std::chrono::milliseconds(20);
// How long the kernel may take to disable a scheduler.
constexpr auto kDisableTime = std::chrono::seconds(30);

// In the child. It is to get no signal of the terminal: whoever compares ends it, when the workload is gone.
[[noreturn]] void become_host(char* const* argv, int errors, pid_t parent) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent)
        ::_exit(127);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
        ::signal(signal, SIG_DFL);
    const int none = ::open("/dev/null", O_RDWR);
    if (none >= 0) {
        ::dup2(none, STDIN_FILENO);
        ::dup2(none, STDOUT_FILENO);
    }
    ::dup2(errors, STDERR_FILENO);
    ::execv("/proc/self/exe", argv);
    ::_exit(127);
}

std::string read_all(int fd) {
    std::string text(1U << 16U, '\0');
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

// The process of a host until it is known to run.
class StartingHost {
public:
    explicit StartingHost(UniqueFd errors)
        : errors_(std::move(errors)) {}
    StartingHost(const StartingHost&) = delete;
    StartingHost& operator=(const StartingHost&) = delete;
    ~StartingHost() {
        if (pid_ <= 0)
            return;
        ::kill(pid_, SIGTERM);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }

    Result<> start(const std::vector<std::string>& arguments) {
        std::vector<char*> argv;
        argv.reserve(arguments.size() + 1);
        for (const std::string& argument : arguments)
            argv.push_back(const_cast<char*>(argument.c_str())); // exec takes them so and does not write
        argv.push_back(nullptr);
        const pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ == 0)
            become_host(argv.data(), errors_.get(), parent);
        return pid_ > 0 ? Result<>() : fail_errno(ErrorKind::kIo, "cannot start a host", errno);
    }

    // kAttach, or as the exit status says: it has ended.
    Result<> check() {
        int status = 0;
        if (::waitpid(pid_, &status, WNOHANG) != pid_)
            return {};
        pid_ = -1;
        constexpr int kUsage = 2;
        constexpr int kUnsupported = 3;
        constexpr int kPermission = 4;
        const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        return fail(Error{.kind = code == kUsage         ? ErrorKind::kConfig
                                  : code == kUnsupported ? ErrorKind::kUnsupported
                                  : code == kPermission  ? ErrorKind::kPermission
                                                         : ErrorKind::kAttach,
                          .what = "the host that was started for the comparison did not come to run",
                          .detail = read_all(errors_.get())});
    }

    // Whoever takes it ends it.
    [[nodiscard]] pid_t release() { return std::exchange(pid_, -1); }

private:
    UniqueFd errors_;
    pid_t pid_ = -1;
};

std::vector<std::string> host_arguments(const ComparedHost::Settings& settings, const Contender& first) {
    std::vector<std::string> arguments = {"scxhost", "run"};
    if (first.is_program)
        arguments.emplace_back("--program");
    arguments.push_back(first.what);
    for (const char* flag : {"--stay", "--quiet", "--set", kNoProbation})
        arguments.emplace_back(flag);
    arguments.insert(arguments.end(), {"--set", "control.socket=" + settings.socket.string()});
    for (const std::string& folder : settings.plugin_dirs)
        arguments.insert(arguments.end(), {"--plugin-dir", folder});
    return arguments;
}

Error wrong_name(const Contender& contender, const std::string& found) {
    return {.kind = ErrorKind::kUsage,
            .what = fmt::format("{}: the configuration runs {}, not {}", contender.label, found, contender.expected)};
}

// What a configuration says of its scheduler is read before anything is touched.
Result<> check_config(const Contender& contender) {
    if (!contender.what.ends_with(".toml"))
        return {};
    const Config config = SCXHOST_TRY(load_config(contender.what));
    if (!config.below.empty())
        return fail(
            Error{.kind = ErrorKind::kUsage,
                  .what = fmt::format("{}: a comparison is between schedulers for the whole machine", contender.label),
                  .hint = "compare configurations without [[below]]",
                  .where = config.below.front().where("below")});
    if (!contender.expected.empty() && !config.scheduler.plugin.empty() &&
        config.scheduler.plugin != contender.expected)
        return fail(wrong_name(contender, config.scheduler.plugin));
    return {};
}

Error interrupted() {
    return {.kind = ErrorKind::kBusy, .what = "interrupted before a host had come to run"};
}

} // namespace

ComparedHost::ComparedHost(ComparedHost&& other) noexcept
    : settings_(std::move(other.settings_))
    , client_(std::exchange(other.client_, std::nullopt))
    , own_pid_(std::exchange(other.own_pid_, -1))
    , kernel_release_(std::move(other.kernel_release_)) {}

ComparedHost::~ComparedHost() {
    (void)leave();
}

Result<ComparedHost> ComparedHost::join(Settings settings, const std::vector<Contender>& contenders,
                                        const EventFd& stop) {
    for (const Contender& contender : contenders)
        SCXHOST_TRY(check_config(contender));
    Result<ControlClient> client = ControlClient::connect(settings.socket);
    if (!client && client.error().kind == ErrorKind::kNoHost)
        return start(settings, contenders, stop);
    if (!client)
        return fail(std::move(client).error());
    ComparedHost host(std::move(settings), *std::move(client));
    SCXHOST_TRY(host.ask("borrow", nlohmann::json::object()));
    SCXHOST_TRY(host.read_release());
    return host;
}

Result<ComparedHost> ComparedHost::start(const Settings& settings, const std::vector<Contender>& contenders,
                                         const EventFd& stop) {
    const auto first = std::ranges::find_if(contenders, [](const Contender& one) { return !one.what.empty(); });
    UniqueFd errors(::memfd_create("host-errors", MFD_CLOEXEC));
    if (!errors)
        return fail_errno(ErrorKind::kIo, "cannot keep what a host says", errno);
    StartingHost starting(std::move(errors));
    SCXHOST_TRY(starting.start(host_arguments(settings, *first)));
    for (;;) {
        SCXHOST_TRY(starting.check());
        if (Result<ControlClient> client = ControlClient::connect(settings.socket)) {
            ComparedHost host(settings, *std::move(client));
            const Result<nlohmann::json> status = host.ask("status", nlohmann::json::object());
            if (status && json_text(*status, "phase") == "good") {
                host.own_pid_ = starting.release();
                SCXHOST_TRY(host.read_release());
                return host;
            }
        }
        if (stop.wait(Clock::now() + kPause))
            return fail(interrupted());
    }
}

Result<> ComparedHost::read_release() {
    const nlohmann::json status = SCXHOST_TRY(ask("status", nlohmann::json::object()));
    kernel_release_ = json_text(json_member(status, "kernel"), "release");
    return {};
}

Result<nlohmann::json> ComparedHost::ask(const std::string& method, nlohmann::json params) {
    if (!client_)
        return fail(ErrorKind::kNoHost, "the host has ended");
    return client_->call(method, std::move(params), Clock::now() + kAnswerTime);
}

Result<> ComparedHost::check(const Contender& contender) {
    if (contender.what.empty())
        return {};
    SCXHOST_TRY(ask("check", selection_params(contender, settings_.plugin_dirs)));
    return {};
}

Result<ComparedHost::Installed> ComparedHost::install(const Contender& contender) {
    if (contender.what.empty()) {
        SCXHOST_TRY(ask("stop", nlohmann::json::object()));
        return confirm(contender);
    }
    nlohmann::json params = selection_params(contender, settings_.plugin_dirs);
    params["force"] = true; // afresh, also when it ran just before; and again, when it failed in an earlier round
    params["set"] = {kNoProbation};
    const nlohmann::json report = SCXHOST_TRY(ask("swap", std::move(params)));
    if (json_text(report, "outcome") != "good") {
        const nlohmann::json& error = json_member(report, "error");
        return fail(error.is_object() ? error_from_json(error)
                                      : Error{.kind = ErrorKind::kAttach,
                                              .what = fmt::format("{} did not come to run: {}", contender.label,
                                                                  json_text(report, "outcome"))});
    }
    return confirm(contender);
}

// The host's word and the kernel's. Only the kernel's own scheduler may take a while: stop is answered before it is
// done.
Result<ComparedHost::Installed> ComparedHost::confirm(const Contender& contender) {
    const Clock::time_point deadline = Clock::now() + kDisableTime;
    for (;;) {
        const nlohmann::json status = SCXHOST_TRY(ask("status", nlohmann::json::object()));
        const nlohmann::json& kernel = json_member(status, "kernel");
        const nlohmann::json& scheduler = json_member(status, "scheduler");
        Installed installed{.title = json_text(scheduler, "title"),
                            .ops = json_text(kernel, "ops"),
                            .enable_seq = static_cast<std::uint64_t>(json_integer(kernel, "enable_seq"))};
        const std::string state = json_text(kernel, "state");
        const bool agrees = json_member(status, "agrees") == true;
        if (!contender.expected.empty() && json_text(scheduler, "name") != contender.expected)
            return fail(wrong_name(contender, json_text(scheduler, "name")));
        const bool runs = contender.what.empty() ? state == "disabled" && installed.ops.empty()
                                                 : state == "enabled" && agrees && !installed.title.empty();
        if (runs)
            return installed;
        if (!contender.what.empty() || Clock::now() > deadline)
            return fail(ErrorKind::kEjected,
                        fmt::format("{} does not run: the kernel says {}{}{}", contender.label, state,
                                    installed.ops.empty() ? "" : ", ", installed.ops),
                        "scxhost events says what happened");
        ::usleep(std::chrono::microseconds(kPause).count());
    }
}

Result<> ComparedHost::check_runs(const Installed& installed) {
    const nlohmann::json status = SCXHOST_TRY(ask("status", nlohmann::json::object()));
    const nlohmann::json& kernel = json_member(status, "kernel");
    // The number grows with every scheduler that the kernel enables: one that came back in between is another run.
    const bool same_kernel = json_text(kernel, "ops") == installed.ops &&
                             json_integer(kernel, "enable_seq") == static_cast<std::int64_t>(installed.enable_seq);
    const bool same_host = json_text(json_member(status, "scheduler"), "title") == installed.title;
    if (same_kernel && same_host)
        return {};
    return fail(ErrorKind::kEjected, reason_of_end(installed.title));
}

Result<> ComparedHost::check_loan() {
    const nlohmann::json status = SCXHOST_TRY(ask("status", nlohmann::json::object()));
    if (is_own() || json_member(status, "borrowed") == true)
        return {};
    return fail(ErrorKind::kBusy, "somebody else has changed what the host runs, which ends the comparison",
                "scxhost events says what happened");
}

// As the host told it.
std::string ComparedHost::reason_of_end(const std::string& title) {
    const Result<nlohmann::json> events = ask("events", nlohmann::json::object());
    std::string reason;
    if (events)
        for (const nlohmann::json& event : json_member(*events, "events"))
            if (json_text(event, "event") == "left" && json_text(event, "title") == title)
                reason = json_text(json_member(event, "error"), "message");
    if (!reason.empty())
        return reason;
    return fmt::format("{} was taken away while the workload ran",
                       title.empty() ? "the kernel's own scheduler" : title.c_str());
}

Result<> ComparedHost::leave() {
    if (own_pid_ > 0) {
        const pid_t pid = std::exchange(own_pid_, -1);
        client_.reset();
        ::kill(pid, SIGTERM);
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
        }
        return {};
    }
    if (!client_)
        return {};
    Result<nlohmann::json> returned = ask("return", nlohmann::json::object());
    client_.reset(); // from here on the host does it by itself
    if (!returned)
        return fail(std::move(returned).error());
    return {};
}

} // namespace scxhost
