// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/held_program.hpp"

#include "host/base/thread.hpp"
#include "host/base/units.hpp"
#include "host/programs/program_rights.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace scxhost {
namespace {

// What is read of a program's output at once, and how long it then waits: a flood is slowed down to 640 KB/s, and costs
// the loop ten short wakeups a second. An ordinary program never notices.
constexpr std::size_t kOutputChunk = 64U << 10U;
constexpr auto kOutputPause = std::chrono::milliseconds(100);
// Between looks at a cgroup whose processes have been killed.
constexpr auto kCgroupPause = std::chrono::milliseconds(20);
// And how many there are: a process that somebody else has put there need never go. The next host sweeps up.
constexpr int kMaxRemovals = 250;
constexpr std::size_t kLastLines = 20;
// How many descriptors of a program are looked at in search of a reason.
constexpr std::size_t kMaxDescriptors = 1000;
// How many of its calls are refused before the next one is left waiting: each costs the loop a turn, and a program that
// only asks would have it do nothing else.
constexpr int kMaxRefusals = 4;

} // namespace

HeldProgram::HeldProgram(EventLoop& loop, ProgramSettings settings, std::vector<OpsLayout> layouts, Listener listener,
                         ProgramCgroup cgroup)
    : loop_(loop)
    , settings_(std::move(settings))
    , layouts_(std::move(layouts))
    , listener_(std::move(listener))
    , cgroup_(std::move(cgroup)) {}

Result<std::unique_ptr<HeldProgram>> HeldProgram::start(EventLoop& loop, ProgramSettings settings,
                                                        std::vector<OpsLayout> layouts, Listener listener) {
    SCXHOST_TRY(check_program_rights());
    ProgramCgroup cgroup = SCXHOST_TRY(ProgramCgroup::make(settings.command.file->path().filename(), settings.limits));
    std::unique_ptr<HeldProgram> program(
        new HeldProgram(loop, std::move(settings), std::move(layouts), std::move(listener), std::move(cgroup)));
    program->worker_ = SCXHOST_TRY(BackgroundWorker::start(loop));
    program->process_ = SCXHOST_TRY(start_process(program->settings_.command, program->cgroup_.fd()));
    SCXHOST_TRY(program->watch());
    return program;
}

HeldProgram::~HeldProgram() {
    if (gate_ != nullptr) {
        if (call_ != nullptr)
            gate_->refuse(*call_, ECANCELED);
        gate_->stop();
    }
    if (process_.process && !end_) {
        if (ending_ > 0)
            (void)wait_for_end(settings_.end_patience);
        cgroup_.kill_all();
        ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process_.process.get()), nullptr, WEXITED);
        const auto deadline = std::chrono::steady_clock::now() + settings_.end_patience;
        while (!cgroup_.remove() && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(kCgroupPause); // its other processes are still on their way out
    }
    if (worker_ != nullptr)
        worker_->abandon();
}

std::string HeldProgram::name() const {
    return settings_.command.file->path().string();
}

Result<> HeldProgram::watch() {
    setup_watch_ = SCXHOST_TRY(loop_.watch(process_.setup.get(), {}, [this] { on_setup(); }));
    output_watch_ = SCXHOST_TRY(loop_.watch(process_.output.get(), {}, [this] { on_output(); }));
    exit_watch_ = SCXHOST_TRY(loop_.watch(process_.process.get(), {}, [this] { on_exit(); }));
    start_timer_ = SCXHOST_TRY(loop_.timer(settings_.start_timeout, [this] { fail_start(asked_too_late()); }));
    return {};
}

Error HeldProgram::asked_too_late() const {
    Error error{.kind = ErrorKind::kUnsupported,
                .what = fmt::format("{}: it did not ask to attach a scheduler within {}", name(),
                                    format_duration(settings_.start_timeout)),
                .hint = "is it a scheduler? Raise program.start_timeout when it only takes long",
                .detail = output_.last_lines(kLastLines)};
    if (gate_ != nullptr && gate_->has_scheduler_without_link(kMaxDescriptors)) {
        error.what = fmt::format("{}: it registers its scheduler without a link, which cannot be held", name());
        error.hint = "its object is to have its struct_ops in a section .struct_ops.link";
    }
    return error;
}

void HeldProgram::on_setup() {
    Result<SetupMessage> message = receive_setup(process_, settings_.command);
    if (!message) {
        setup_watch_.reset();
        return fail_start(std::move(message).error());
    }
    if (message->kind == SetupMessage::Kind::kDone)
        return setup_watch_.reset();
    if (message->kind == SetupMessage::Kind::kListener) {
        UniqueFd process(::fcntl(process_.process.get(), F_DUPFD_CLOEXEC, 0)); // the worker may outlive this
        gate_ = std::make_shared<LinkGate>(std::move(message->listener), std::move(process), process_.pid, layouts_);
        listen();
    }
}

void HeldProgram::listen() {
    listening_ = true;
    worker_->submit([this, gate = gate_, file = settings_.command.file,
                     variables = settings_.variables]() -> BackgroundWorker::Completion {
        const auto wait = [&]() -> Result<std::optional<Asked>> {
            std::optional<LinkGate::HeldCall> call = SCXHOST_TRY(gate->wait());
            if (!call)
                return std::nullopt;
            // It runs by now, so nobody can write to its file any more.
            const Result<> unchanged = file->check_unchanged();
            auto scheduler = unchanged ? HeldScheduler::from_map(std::move(call->map), gate->layouts(), variables)
                                       : fail(unchanged.error());
            return Asked{.call = *std::move(call), .scheduler = std::move(scheduler)};
        };
        auto asked = std::make_shared<Result<std::optional<Asked>>>(wait());
        return [this, asked] { on_held(std::move(*asked)); };
    });
}

void HeldProgram::on_held(Result<std::optional<Asked>> asked) {
    listening_ = false;
    if (asked && !*asked)
        return; // nobody is left; on_exit() tells
    if (!asked) {
        Error error = std::move(asked).error();
        error.what = fmt::format("{}: {}", name(), error.what);
        // The gate has refused it. What runs goes on.
        if (handed_over_ && scheduler_runs() && !failed_ && ending_ == 0) {
            if (refusals_ == 0 && listener_.warned)
                listener_.warned(std::move(error));
            if (refusals_++ < kMaxRefusals)
                listen();
            return;
        }
        return fail_start(std::move(error));
    }
    call_ = std::make_shared<LinkGate::HeldCall>(std::move((*asked)->call));
    if (failed_ || ending_ > 0)
        return refuse(ECANCELED);
    if (handed_over_ && scheduler_runs()) {
        if (refusals_ == 0 && listener_.warned)
            listener_.warned({.kind = ErrorKind::kUnsupported,
                              .what = fmt::format("{}: it asked to attach a second scheduler beside the one that runs, "
                                                  "and was refused",
                                                  name()),
                              .hint = "a program with more than one scheduler cannot be hosted"});
        return refuse(EBUSY);
    }
    if (!(*asked)->scheduler) {
        refuse(EPERM);
        return fail_start(std::move((*asked)->scheduler).error());
    }
    scheduler_ = *std::move((*asked)->scheduler);
    start_timer_.reset();
    // Its own look at the state is behind it. In a thread of its own, since that ends in the program's namespace.
    worker_->submit([this, gate = gate_]() -> BackgroundWorker::Completion {
        Result<> unhidden = {};
        Result<Thread> thread = Thread::start([&] { unhidden = unhide_state(gate->process()); });
        if (thread)
            thread->join();
        else
            unhidden = fail(std::move(thread).error());
        return [this, unhidden = std::move(unhidden)]() mutable {
            // The namespaces of one that has died meanwhile are nobody's loss.
            if (!unhidden && !wait_for_end({}) && listener_.warned)
                listener_.warned(std::move(unhidden).error());
        };
    });
    listener_.held({});
}

// nullopt: it keeps no record, and may always be starting over.
std::optional<std::uint32_t> HeldProgram::exit_kind() const {
    if (scheduler_ == nullptr || !scheduler_->has_exit_record())
        return std::nullopt;
    return scheduler_->exit_kind();
}

bool HeldProgram::scheduler_runs() const {
    return exit_kind() == 0U;
}

void HeldProgram::hand_over(UniqueFd link, std::function<void(Result<>)> done) {
    if (call_ == nullptr)
        return;
    handed_over_ = true;
    worker_->submit([this, gate = gate_, call = std::exchange(call_, nullptr), link = std::move(link),
                     done = std::move(done)]() mutable -> BackgroundWorker::Completion {
        const Result<> taken = gate->hand_over(*call, link.get());
        link.reset(); // with a duplicate of ours, its own end would not detach it
        return [this, taken, done = std::move(done)] {
            if (!end_)
                listen(); // a program that restarts itself asks again
            if (done)
                done(taken);
        };
    });
}

void HeldProgram::refuse(int error) {
    if (call_ == nullptr || refusals_ >= kMaxRefusals)
        return;
    gate_->refuse(*std::exchange(call_, nullptr), error);
    ++refusals_;
    if (!listening_)
        listen();
}

void HeldProgram::fail_start(Error error) {
    start_timer_.reset();
    const bool told = std::exchange(failed_, true);
    end();
    if (!told)
        listener_.held(fail(std::move(error)));
}

void HeldProgram::end(UniqueFd dead_link) {
    if (ending_ > 0 || end_)
        return;
    if (call_ != nullptr && dead_link) {
        hand_over(std::move(dead_link));
        return escalate_later();
    }
    if (call_ != nullptr)
        refuse(ECANCELED);
    else if (handed_over_ && exit_kind().value_or(0) != 0)
        return escalate_later(); // it sees that by itself, and may have something to report
    escalate();
}

void HeldProgram::escalate() {
    switch (ending_) {
    case 0:
    case 1:
        ending_ = 2;
        send_signal(SIGINT);
        break;
    case 2:
        ending_ = 3;
        send_signal(SIGTERM);
        break;
    default:
        return cgroup_.kill_all();
    }
    escalate_later();
}

void HeldProgram::escalate_later() {
    ending_ = std::max(ending_, 1);
    auto timer = loop_.timer(settings_.end_patience, [this] { escalate(); });
    if (timer)
        end_timer_ = *std::move(timer);
    else
        cgroup_.kill_all();
}

void HeldProgram::send_signal(int signal) const {
    (void)::syscall(SYS_pidfd_send_signal, process_.process.get(), signal, nullptr, 0);
}

void HeldProgram::on_output() {
    read_output();
    // Not before a while: whoever floods waits, and not the loop.
    auto timer = loop_.timer(kOutputPause, [this] {
        if (output_watch_)
            (void)output_watch_.set({});
    });
    if (output_watch_ && timer && output_watch_.set({.readable = false}))
        output_timer_ = *std::move(timer);
}

void HeldProgram::read_output() {
    std::string chunk(kOutputChunk, '\0');
    const ssize_t got = ::read(process_.output.get(), chunk.data(), chunk.size());
    if (got > 0) {
        const std::string_view text = std::string_view(chunk).substr(0, static_cast<std::size_t>(got));
        output_.add(text);
        if (listener_.output)
            listener_.output(text);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        output_watch_.reset();
}

ProcessEnd HeldProgram::describe_end(const siginfo_t& info) const {
    if (cgroup_.oom_kills() > 0)
        return {true, "ran out of memory and was killed (program.memory_max)"};
    if (info.si_code == CLD_EXITED)
        return {info.si_status != 0, fmt::format("exited with status {}", info.si_status)};
    const char* name = ::sigabbrev_np(info.si_status);
    return {true, fmt::format("was killed by SIG{}", name == nullptr ? fmt::format("NAL {}", info.si_status) : name)};
}

std::optional<ProcessEnd> HeldProgram::wait_for_end(std::chrono::nanoseconds patience) const {
    if (end_)
        return end_;
    pollfd process{process_.process.get(), POLLIN, 0};
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
    siginfo_t info{};
    if (::poll(&process, 1, static_cast<int>(milliseconds)) != 1 ||
        ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process.fd), &info, WEXITED | WNOHANG | WNOWAIT) !=
            0 ||
        info.si_pid == 0)
        return std::nullopt;
    return describe_end(info);
}

Error HeldProgram::ended_early() const {
    std::string hint = "what it wrote says why; a wrong argument shows its own help: try --help";
    if (cgroup_.oom_kills() > 0)
        hint = "raise program.memory_max";
    else if (end_->how == "was killed by SIGSYS")
        hint = "it made a system call of another ABI (32 bits, x32), which cannot be held";
    return {.kind = ErrorKind::kObject,
            .what = fmt::format("{}: it {} before it asked to attach a scheduler", name(), end_->how),
            .hint = std::move(hint),
            .detail = output_.last_lines(kLastLines)};
}

void HeldProgram::on_exit() {
    siginfo_t info{};
    if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process_.process.get()), &info, WEXITED | WNOHANG) !=
            0 ||
        info.si_pid == 0)
        return;
    exit_watch_.reset();
    end_timer_.reset();
    start_timer_.reset();
    end_ = describe_end(info);
    call_.reset();
    // A process that could not become the program has told why.
    if (setup_watch_)
        on_setup();
    read_output();      // the last words
    cgroup_.kill_all(); // what it started
    if (!failed_ && ending_ == 0 && scheduler_ == nullptr)
        fail_start(ended_early());
    finish();
}

void HeldProgram::finish() {
    if (!cgroup_.remove() && ++removals_ < kMaxRemovals) {
        auto timer = loop_.timer(kCgroupPause, [this] { finish(); });
        if (timer) {
            end_timer_ = *std::move(timer);
            return;
        }
    }
    listener_.ended(*end_);
}

} // namespace scxhost
