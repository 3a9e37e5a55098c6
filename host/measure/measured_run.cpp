// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/measured_run.hpp"

#include "host/base/unique_fd.hpp"
#include "host/measure/machine_counters.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kOutputBytes = 1U << 20U;
constexpr std::size_t kShownBytes = 2000; // of the output of a workload that failed
constexpr auto kGrace = std::chrono::seconds(2);

Result<std::pair<UniqueFd, UniqueFd>> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return fail_errno(ErrorKind::kIo, "cannot make a pipe", errno);
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

// In the child. Only what may be called after fork().
[[noreturn]] void become(char* const* argv, int output, int failure, pid_t parent) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) // it was gone before
        ::_exit(127);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
        ::signal(signal, SIG_DFL);
    const int none = ::open("/dev/null", O_RDONLY);
    if (none >= 0 && ::dup2(none, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
        ::dup2(output, STDERR_FILENO) >= 0) {
        if (none != STDIN_FILENO)
            ::close(none);
        ::execvp(argv[0], argv);
    }
    const int error = errno;
    (void)!::write(failure, &error, sizeof error);
    ::_exit(127);
}

class Workload {
public:
    Workload() = default;
    Workload(const Workload&) = delete;
    Workload& operator=(const Workload&) = delete;
    ~Workload() { end_group(); }

    Result<> start(const std::vector<std::string>& command);
    // Until the process has ended, or was made to because of `stop`.
    Result<> wait(const EventFd& stop);
    // Kills and waits for what is left of its group. Its output is then complete.
    void end_group();

    [[nodiscard]] bool was_stopped() const { return stopped_; }
    [[nodiscard]] int status() const { return status_; }
    [[nodiscard]] std::string take_output() { return std::move(output_); }

private:
    void read_output();

    pid_t pid_ = -1;
    UniqueFd process_;
    UniqueFd from_it_;
    std::string output_;
    int status_ = 0;
    bool stopped_ = false;
    bool ended_ = false;
};

Result<> Workload::start(const std::vector<std::string>& command) {
    auto [output, output_end] = SCXHOST_TRY(make_pipe());
    auto [failure, failure_end] = SCXHOST_TRY(make_pipe());
    std::vector<char*> argv;
    argv.reserve(command.size() + 1);
    for (const std::string& word : command)
        argv.push_back(const_cast<char*>(word.c_str())); // exec takes them so and does not write
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0)
        become(argv.data(), output_end.get(), failure_end.get(), parent);
    if (pid_ < 0)
        return fail_errno(ErrorKind::kIo, "cannot start a process", errno);
    ::setpgid(pid_, pid_); // as the child does: whoever is first
    failure_end.reset();
    output_end.reset();
    // Where the child says why it could not become the command; closed without a word when it could.
    int error = 0;
    ssize_t got = 0;
    do
        got = ::read(failure.get(), &error, sizeof error);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        end_group();
        return fail_errno(ErrorKind::kUsage, fmt::format("cannot run the workload {}", command.front()), error,
                          "name a program that is in PATH, or its path");
    }
    // pidfd_open(2): glibc has had a wrapper only since 2.36.
    process_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!process_)
        return fail_errno(ErrorKind::kUnsupported, "cannot wait for the workload", errno);
    ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
    from_it_ = std::move(output);
    return {};
}

void Workload::read_output() {
    std::array<char, 16384> buffer;
    for (;;) {
        const ssize_t got = ::read(from_it_.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            from_it_.reset(); // nobody can write any more
        if (got <= 0)
            return;
        output_.append(buffer.data(), static_cast<std::size_t>(got));
        if (output_.size() > 2 * kOutputBytes)
            output_.erase(0, output_.size() - kOutputBytes);
    }
}

Result<> Workload::wait(const EventFd& stop) {
    std::optional<Clock::time_point> deadline;
    for (;;) {
        // Negative descriptors are passed over.
        std::array<pollfd, 3> sources{
            {{process_.get(), POLLIN, 0}, {from_it_.get(), POLLIN, 0}, {deadline ? -1 : stop.get(), POLLIN, 0}}};
        int patience = -1;
        if (deadline)
            patience = static_cast<int>(
                std::max(std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count(), 0L));
        const int ready = ::poll(sources.data(), sources.size(), patience);
        if (ready < 0 && errno != EINTR)
            return fail_errno(ErrorKind::kIo, "cannot wait for the workload", errno);
        if (ready == 0)
            return {}; // it did not end when it was told to
        if (ready < 0)
            continue;
        if (sources[1].revents != 0)
            read_output();
        if (sources[0].revents != 0)
            return {};
        if (sources[2].revents != 0) {
            stopped_ = true;
            ::kill(-pid_, SIGTERM);
            deadline = Clock::now() + kGrace;
        }
    }
}

void Workload::end_group() {
    if (pid_ <= 0 || std::exchange(ended_, true))
        return;
    // First the one that leads it, for its status; if it still runs, it was to end and has not.
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    ::kill(-pid_, SIGKILL);
    // Orphans of the group have become children of this process (PR_SET_CHILD_SUBREAPER).
    while (::waitpid(-pid_, nullptr, 0) > 0 || errno == EINTR) {
    }
    if (from_it_)
        read_output();
}

double in_seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// Of all children that were waited for, and of theirs.
std::vector<Figure> figures_between(const rusage& before, const rusage& after) {
    const double cpu = in_seconds(after.ru_utime) - in_seconds(before.ru_utime) + in_seconds(after.ru_stime) -
                       in_seconds(before.ru_stime);
    return {{.name = "CPU time", .unit = "s", .better = Better::kLower, .value = cpu},
            {.name = "voluntary switches",
             .unit = "",
             .better = Better::kUnknown,
             .value = static_cast<double>(after.ru_nvcsw - before.ru_nvcsw)},
            {.name = "involuntary switches",
             .unit = "",
             .better = Better::kUnknown,
             .value = static_cast<double>(after.ru_nivcsw - before.ru_nivcsw)}};
}

Result<> check_status(int status, const std::string& name, const std::string& output) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return {};
    const std::string how = WIFSIGNALED(status) ? fmt::format("was ended by signal {}", WTERMSIG(status))
                                                : fmt::format("ended with status {}", WEXITSTATUS(status));
    return fail(Error{.kind = ErrorKind::kUsage,
                      .what = fmt::format("the workload {} {}", name, how),
                      .hint = "a workload that ends with another status than 0 has not done its work",
                      .detail = output.substr(output.size() - std::min(output.size(), kShownBytes))});
}

} // namespace

Result<MeasuredRun> run_measured(const std::vector<std::string>& command, const EventFd& stop,
                                 const std::filesystem::path& root) {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return fail_errno(ErrorKind::kInternal, "cannot become the parent of orphans", errno);
    rusage before{};
    rusage after{};
    ::getrusage(RUSAGE_CHILDREN, &before);
    const MachineCounters machine_before = MachineCounters::read(root);
    const Clock::time_point start = Clock::now();
    Workload workload;
    SCXHOST_TRY(workload.start(command));
    SCXHOST_TRY(workload.wait(stop));
    MeasuredRun run;
    run.wall = Clock::now() - start;
    const MachineCounters machine_after = MachineCounters::read(root);
    workload.end_group();
    ::getrusage(RUSAGE_CHILDREN, &after);
    run.output = workload.take_output();
    run.stopped = workload.was_stopped();
    if (run.stopped)
        return run;
    SCXHOST_TRY(check_status(workload.status(), command.front(), run.output));
    run.figures.push_back({.name = "wall time",
                           .unit = "s",
                           .better = Better::kLower,
                           .value = std::chrono::duration<double>(run.wall).count()});
    for (std::vector<Figure> more :
         {figures_between(before, after), figures_between(machine_before, machine_after, run.wall)})
        run.figures.insert(run.figures.end(), more.begin(), more.end());
    return run;
}

} // namespace scxhost
