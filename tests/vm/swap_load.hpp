// SPDX-License-Identifier: GPL-2.0-only
//
// What a machine does while its scheduler is swapped.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <vector>

namespace scxhost {

// In processes of their own, so that a fork is a small one: tasks that sleep, each of them to be moved by a swap, one
// that is always busy, and a loop of forks, none of which may fail.
class SwapLoad {
public:
    explicit SwapLoad(int sleepers)
        : counts_(static_cast<Counts*>(
              ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
        start([sleepers] {
            pthread_attr_t small;
            ::pthread_attr_init(&small);
            ::pthread_attr_setstacksize(&small, 64 << 10);
            pthread_t thread;
            for (int i = 0; i < sleepers; ++i)
                if (::pthread_create(
                        &thread, &small,
                        [](void*) -> void* {
                            for (;;)
                                ::pause();
                        },
                        nullptr) != 0)
                    ::_exit(1);
            ::pause();
        });
        start([] {
            for (;;)
                std::atomic_signal_fence(std::memory_order_seq_cst);
        });
        start([this] {
            for (;;) {
                const pid_t child = ::fork();
                if (child == 0)
                    ::_exit(0);
                int status = -1;
                if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0)
                    ++counts_->failed_forks;
                ++counts_->forks;
                ::usleep(10000);
            }
        });
    }
    ~SwapLoad() {
        for (const pid_t child : children_) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
        ::munmap(counts_, sizeof(Counts));
    }
    [[nodiscard]] int forks() const { return counts_->forks; }
    [[nodiscard]] int failed_forks() const { return counts_->failed_forks; }

private:
    struct Counts {
        std::atomic<int> forks = 0;
        std::atomic<int> failed_forks = 0;
    };
    template <typename Work>
    void start(Work work) {
        const pid_t child = ::fork();
        if (child == 0) {
            work();
            ::_exit(1);
        }
        children_.push_back(child);
    }

    Counts* counts_;
    std::vector<pid_t> children_;
};

} // namespace scxhost
