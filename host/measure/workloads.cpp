// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/workloads.hpp"

#include "host/measure/children.hpp"
#include "host/measure/pipe.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace scxhost {
namespace {

constexpr std::size_t kSourceBytes = 32U << 10U;
constexpr std::size_t kObjectBytes = 64U << 10U;
constexpr std::uint64_t kJobLoops = 3'000'000; // a few milliseconds

std::int64_t now_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

void sleep_until(std::int64_t at) {
    const timespec time{.tv_sec = at / 1'000'000'000, .tv_nsec = at % 1'000'000'000};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) != 0) {
    }
}

// The same each time; the result goes where the compiler must respect it.
void work(std::uint64_t loops) {
    for (std::uint64_t i = 0; i < loops; ++i)
        asm volatile("" : : "r"(i));
}

// False: something could not be read or written, so that this is no build.
bool copy_and_compute(const std::string& source, const std::string& object) {
    std::vector<char> bytes(kObjectBytes);
    const UniqueFd in(::open(source.c_str(), O_RDONLY | O_CLOEXEC));
    if (::read(in.get(), bytes.data(), kSourceBytes) != static_cast<ssize_t>(kSourceBytes))
        return false;
    work(kJobLoops);
    const UniqueFd out(::open(object.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    return ::write(out.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

// One worker: job after job. A job that fails ends it, which jobs_done() notices.
void build_on(const std::string& folder, std::atomic<std::uint64_t>& done, std::size_t index) {
    const std::string source = folder + "/source";
    const std::string object = folder + "/object" + std::to_string(index);
    for (;;) {
        const pid_t job = ::fork();
        if (job == 0)
            std::_Exit(copy_and_compute(source, object) ? 0 : 1);
        int status = 1;
        while (job > 0 && ::waitpid(job, &status, 0) < 0 && errno == EINTR) {
        }
        if (job < 0 || status != 0)
            return;
        ::unlink(object.c_str());
        done.fetch_add(1, std::memory_order_relaxed);
    }
}

} // namespace

void ping_pong(std::uint64_t round_trips, const std::function<void()>& after_each) {
    const Pipe there;
    const Pipe back;
    Children other;
    other.start([&](Board&, std::size_t) {
        for (std::uint64_t i = 0; i < round_trips; ++i) {
            there.receive();
            back.send();
        }
    });
    for (std::uint64_t i = 0; i < round_trips; ++i) {
        there.send();
        back.receive();
        if (after_each)
            after_each();
    }
    other.join();
}

void message_storm(std::uint64_t messages) {
    constexpr std::size_t kSenders = 8;
    constexpr std::size_t kReceivers = 8;
    const std::array<Pipe, kReceivers> pipes;
    const std::uint64_t each = messages / kSenders / kReceivers;
    const Pipe start;
    Children tasks;
    for (std::size_t receiver = 0; receiver < kReceivers; ++receiver)
        tasks.start([&](Board&, std::size_t) {
            for (std::uint64_t i = 0; i < each * kSenders; ++i)
                pipes[receiver].receive();
        });
    for (std::size_t sender = 0; sender < kSenders; ++sender)
        tasks.start([&](Board&, std::size_t) {
            start.receive();
            for (std::uint64_t i = 0; i < each; ++i)
                for (const Pipe& pipe : pipes)
                    pipe.send();
        });
    for (std::size_t sender = 0; sender < kSenders; ++sender)
        start.send();
    tasks.join();
}

void forks(std::uint64_t count) {
    if (fork_storm(count, 8) != 0)
        throw std::runtime_error("a fork failed");
}

Samples ping_pong_us(std::uint64_t round_trips) {
    constexpr std::size_t kFirst = 200; // the very first has no start
    Samples us;
    std::int64_t last = 0;
    ping_pong(round_trips + kFirst, [&] {
        const std::int64_t now = now_ns();
        us.push_back(static_cast<double>(now - last) / 1e3);
        last = now;
    });
    us.erase(us.begin(), us.begin() + kFirst);
    return us;
}

void add_hogs(Children& crowd) {
    for (long i = 0; i < 2 * ::sysconf(_SC_NPROCESSORS_ONLN); ++i)
        crowd.spinner();
}

Samples periodic_lateness_ms(std::chrono::nanoseconds period, std::chrono::nanoseconds time) {
    Samples late_ms;
    const std::int64_t end = now_ns() + time.count();
    for (std::int64_t at = now_ns() + period.count(); at < end;) {
        sleep_until(at);
        const std::int64_t now = now_ns();
        late_ms.push_back(static_cast<double>(now - at) / 1e6);
        at += (now - at) / period.count() * period.count() + period.count();
    }
    return late_ms;
}

std::uint64_t calibrate(std::chrono::nanoseconds time) {
    constexpr std::uint64_t kLoops = 1'000'000;
    // Others make each CPU slower: they share its clock's limits, its core, or, in an emulated machine, its thread.
    Children others;
    for (long i = 1; i < ::sysconf(_SC_NPROCESSORS_ONLN); ++i)
        others.spinner();
    std::int64_t best = std::numeric_limits<std::int64_t>::max();
    for (int i = 0; i < 5; ++i) {
        const std::int64_t start = now_ns();
        work(kLoops);
        best = std::min(best, now_ns() - start);
    }
    return kLoops * static_cast<std::uint64_t>(time.count()) /
           static_cast<std::uint64_t>(std::max<std::int64_t>(best, 1));
}

double missed_frames_percent(std::uint64_t loops, std::chrono::nanoseconds time) {
    constexpr std::int64_t kPeriod = 16'666'667;
    std::int64_t missed = 0;
    std::int64_t frames = 0;
    const std::int64_t end = now_ns() + time.count();
    for (std::int64_t at = now_ns() + kPeriod; at < end; ++frames) {
        sleep_until(at);
        work(loops);
        // Each period that passed before the frame was done has had none.
        const std::int64_t passed = (now_ns() - at) / kPeriod;
        missed += passed;
        frames += passed;
        at += (passed + 1) * kPeriod;
    }
    return frames == 0 ? 0 : 100 * static_cast<double>(missed) / static_cast<double>(frames);
}

Build::Build() {
    const char* chosen = std::getenv("TMPDIR");
    folder_ = std::string(chosen == nullptr ? "/tmp" : chosen) + "/scxhost-build-XXXXXX";
    if (::mkdtemp(folder_.data()) == nullptr)
        throw std::runtime_error("cannot make the folder " + folder_);
    const UniqueFd source(::open((folder_ + "/source").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::vector<char> bytes(kSourceBytes, 'x');
    if (::write(source.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        throw std::runtime_error("cannot write to " + folder_);
    for (long i = 0; i < ::sysconf(_SC_NPROCESSORS_ONLN); ++i)
        workers_.start([this](Board& board, std::size_t index) { build_on(folder_, board.work[index % 64], index); });
}

Build::~Build() {
    workers_.end_all();
    // A job may have outlived its worker, and may still write.
    std::error_code error;
    do
        std::filesystem::remove_all(folder_, error);
    while (error == std::errc::directory_not_empty);
}

std::uint64_t Build::jobs_done() {
    for (const pid_t worker : workers_.pids()) {
        siginfo_t info{};
        if (::waitid(P_PID, static_cast<id_t>(worker), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
            throw std::runtime_error("a job of the build failed: is " + folder_ + " full?");
    }
    std::uint64_t done = 0;
    for (const std::atomic<std::uint64_t>& one : workers_.board().work)
        done += one.load(std::memory_order_relaxed);
    return done;
}

} // namespace scxhost
