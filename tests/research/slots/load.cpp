// SPDX-License-Identifier: GPL-2.0-only
#include "tests/research/slots/load.hpp"

#include "host/measure/pipe.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <stdexcept>

namespace scxhost::slots {
namespace {

template <typename T>
T* shared_memory() {
    void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        throw std::runtime_error("no shared memory");
    return new (memory) T;
}

std::int64_t microseconds_since(Clock::time_point start) {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
}

void raise(std::atomic<std::int64_t>& most, std::int64_t value) {
    if (value > most.load(std::memory_order_relaxed))
        most.store(value, std::memory_order_relaxed);
}

void become(int policy, int priority) {
    sched_param parameters{};
    parameters.sched_priority = priority;
    if (::sched_setscheduler(0, policy, &parameters) != 0)
        throw std::runtime_error("cannot change this thread's scheduling policy");
}

} // namespace

double median(Samples samples) {
    std::ranges::sort(samples);
    return samples.empty() ? 0 : samples[samples.size() / 2];
}

double worst(const Samples& samples) {
    return samples.empty() ? 0 : std::ranges::max(samples);
}

struct Witnesses::Shared {
    std::atomic<std::int64_t> silence_us = 0;
    std::atomic<std::int64_t> fork_us = 0;
    std::atomic<std::uint64_t> silences_over_1ms = 0;
    std::atomic<std::uint64_t> forks = 0;
    std::atomic<std::uint64_t> forks_failed = 0;
};

Witnesses::Witnesses()
    : shared_(shared_memory<Shared>()) {
    children_.start([this](Board&, std::size_t) {
        for (auto last = Clock::now();;) {
            const std::int64_t us = microseconds_since(last);
            last = Clock::now();
            raise(shared_->silence_us, us);
            if (us > 1000)
                ++shared_->silences_over_1ms;
        }
    });
    children_.start([this](Board&, std::size_t) {
        for (;;) {
            const auto begin = Clock::now();
            const pid_t child = ::fork();
            if (child == 0)
                std::_Exit(0);
            ++(child > 0 ? shared_->forks : shared_->forks_failed);
            raise(shared_->fork_us, microseconds_since(begin));
            ::waitpid(child, nullptr, 0);
            ::usleep(1000);
        }
    });
}

Witnesses::~Witnesses() {
    children_.end_all();
    ::munmap(shared_, sizeof *shared_);
}

void Witnesses::reset() {
    shared_->silence_us = 0;
    shared_->fork_us = 0;
    shared_->silences_over_1ms = 0;
    shared_->forks = 0;
    shared_->forks_failed = 0;
}

Witnesses::Seen Witnesses::seen() const {
    return {.silence_ms = static_cast<double>(shared_->silence_us) / 1e3,
            .fork_ms = static_cast<double>(shared_->fork_us) / 1e3,
            .silences_over_1ms = shared_->silences_over_1ms,
            .forks = shared_->forks,
            .forks_failed = shared_->forks_failed};
}

struct HeavyLoad::Shared {
    static constexpr std::size_t kTasks = 32;

    std::atomic<std::uint64_t> rounds[kTasks];
    std::atomic<std::uint64_t> forks = 0;
    std::atomic<std::uint64_t> forks_failed = 0;
};

HeavyLoad::HeavyLoad()
    : shared_(shared_memory<Shared>()) {
    for (const int nice : {0, -5, 5, 10})
        children_.start(
            [this](Board&, std::size_t index) {
                for (;;)
                    ++shared_->rounds[index];
            },
            {.nice = nice});
    for (int pair = 0; pair < 4; ++pair) {
        const Pipe there;
        const Pipe back;
        children_.start([&](Board&, std::size_t index) {
            for (;; ++shared_->rounds[index]) {
                there.send();
                back.receive();
            }
        });
        children_.start([&](Board&, std::size_t index) {
            for (;; ++shared_->rounds[index]) {
                there.receive();
                back.send();
            }
        });
    }
    for (int storm = 0; storm < 2; ++storm)
        children_.start([this](Board&, std::size_t index) {
            for (;; ++shared_->rounds[index]) {
                const pid_t child = ::fork();
                if (child == 0)
                    std::_Exit(0);
                ++(child > 0 ? shared_->forks : shared_->forks_failed);
                ::waitpid(child, nullptr, 0);
            }
        });
}

HeavyLoad::~HeavyLoad() {
    children_.end_all();
    ::munmap(shared_, sizeof *shared_);
}

void HeavyLoad::check_all_run() {
    const std::size_t count = children_.pids().size();
    std::vector<std::uint64_t> before(shared_->rounds, shared_->rounds + count);
    for (std::size_t i = 0; i < count; ++i)
        if (!wait_until([&] { return shared_->rounds[i] > before[i]; }))
            throw std::runtime_error("task " + std::to_string(i) + " of the load does not get on");
}

std::uint64_t HeavyLoad::forks() const {
    return shared_->forks;
}

std::uint64_t HeavyLoad::forks_failed() const {
    return shared_->forks_failed;
}

void become_real_time() {
    become(SCHED_FIFO | SCHED_RESET_ON_FORK, 1);
}

void become_ordinary() {
    become(SCHED_OTHER, 0);
}

} // namespace scxhost::slots
