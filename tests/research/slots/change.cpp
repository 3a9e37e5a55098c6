// SPDX-License-Identifier: GPL-2.0-only
#include "tests/research/slots/load.hpp"
#include "tests/research/slots/questions.hpp"
#include "tests/research/slots/slot_object.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost::slots {
namespace {

// How the tasks in the queue of the policy that goes come to run.
enum class Handover {
    kDrain,     // the root serves that queue first until it is empty
    kReenqueue, // the kernel hands them to the new policy (7.1)
};

constexpr useconds_t kPauseUs = 500; // between two changes

// Three policies in two banks: each change first puts the next policy into the bank that is not used.
class Changer {
public:
    Changer()
        : policies_{{"fifo", 1}, {"weighted", 2}, {"fifo", 3}} {
        root_.load();
        for (Policy& policy : policies_)
            policy.load();
    }

    void attach() {
        root_.attach_with(policies_[0]);
        for (std::size_t i = 1; i < std::size(policies_); ++i)
            root_.set_up(policies_[i]);
        now_ = 0;
        bank_ = 0;
    }
    void detach() { root_.detach(); }

    // Returns when no task is left in the old queue.
    void change(Handover handover) {
        const Policy& old = policies_[now_];
        now_ = (now_ + 1) % std::size(policies_);
        bank_ = 1 - bank_;

        auto start = Clock::now();
        root_.put(bank_, policies_[now_]);
        put_ms.push_back(milliseconds_since(start));

        start = Clock::now();
        if (handover == Handover::kDrain)
            root_.drain(old.dsq());
        root_.use(bank_);
        store_ms.push_back(milliseconds_since(start));
        // A callback that began in the old policy may still queue a task there.
        wait_for_callbacks();
        if (handover == Handover::kReenqueue && !root_.reenqueue(old.dsq()))
            throw std::runtime_error("this kernel cannot hand tasks back");
        const auto deadline = Clock::now() + std::chrono::seconds(20);
        while (root_.nr_queued(old.dsq()) != 0) {
            if (root_.state().exit_kind != 0 || Clock::now() > deadline)
                throw std::runtime_error(fmt::format("{} tasks are left in the old queue; {}",
                                                     root_.nr_queued(old.dsq()), root_.state().exit_message));
            ::usleep(200);
        }
        root_.drain(0);
        empty_ms.push_back(milliseconds_since(start));
    }

    [[nodiscard]] const Root& root() const { return root_; }

    Samples put_ms, store_ms, empty_ms;

private:
    Root root_;
    Policy policies_[3];
    std::size_t now_ = 0;
    std::uint32_t bank_ = 0;
};

void print_seen(const char* what, std::uint64_t changes, double seconds, const Witnesses::Seen& seen) {
    fmt::print("  {:30} {:>7} {:>8.1f} {:>12.2f} {:>12} {:>10.2f} {:>8} {:>8}\n", what, changes, seconds,
               seen.silence_ms, seen.silences_over_1ms, seen.fork_ms, seen.forks, seen.forks_failed);
    std::fflush(stdout);
}

// Runs `change` so often, at the host's priority, and prints what the witnesses saw meanwhile.
void watch(const char* what, std::uint64_t changes, Witnesses& witnesses, const std::function<void()>& change) {
    become_real_time();
    witnesses.reset();
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < changes; ++i) {
        change();
        ::usleep(kPauseUs);
    }
    const double seconds = milliseconds_since(start) / 1e3;
    const Witnesses::Seen seen = witnesses.seen();
    become_ordinary();
    print_seen(what, changes, seconds, seen);
}

// One task that never sleeps and one that forks: nothing but a change keeps either waiting.
void compare(bool can_reenqueue) {
    constexpr std::uint64_t kChanges = 200;
    fmt::print("  {:30} {:>7} {:>8} {:>12} {:>12} {:>10} {:>8} {:>8}\n", "a busy task and a forking one", "changes",
               "seconds", "silence, ms", "over 1 ms", "fork, ms", "forks", "failed");
    Witnesses witnesses;
    Changer changer;
    changer.attach();
    watch("no change", kChanges, witnesses, [] { ::usleep(4000); });
    watch("slots, drained", kChanges, witnesses, [&] { changer.change(Handover::kDrain); });
    if (can_reenqueue)
        watch("slots, reenqueued", kChanges, witnesses, [&] { changer.change(Handover::kReenqueue); });
    changer.root().check_runs();
    changer.detach();

    // The floor of a swap: both objects loaded, and attached once before, so that their trampolines exist.
    Policy first("fifo", 1);
    Policy second("weighted", 1);
    for (Policy* policy : {&first, &second}) {
        policy->load();
        policy->attach();
        policy->detach();
    }
    Policy* from = &first;
    Policy* to = &second;
    from->attach();
    Samples gaps;
    watch("swap of the root", kChanges, witnesses, [&] {
        const auto start = Clock::now();
        from->detach();
        to->attach();
        gaps.push_back(milliseconds_since(start));
        std::swap(from, to);
    });
    from->detach();
    fmt::print("  gap of a root swap, ms: {:.2f} (worst {:.2f})\n", median(gaps), worst(gaps));
}

void under_load(Handover handover, std::uint64_t changes) {
    Changer changer;
    changer.attach();
    HeavyLoad load;
    become_real_time();
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < changes; ++i) {
        changer.change(handover);
        ::usleep(kPauseUs);
    }
    const double seconds = milliseconds_since(start) / 1e3;
    become_ordinary();
    load.check_all_run();
    changer.root().check_runs();
    fmt::print("  {}: {} changes in {:.1f} s, {} forks, {} failed; every task gets on, the root runs, past the slots: "
               "{}\n",
               handover == Handover::kDrain ? "drained" : "reenqueued", changes, seconds, load.forks(),
               load.forks_failed(), changer.root().state().fallbacks);
    const auto row = [](const char* what, const Samples& samples) {
        fmt::print("    {:44} {:.4f} (worst {:.4f})\n", what, median(samples), worst(samples));
    };
    row("the other bank's six slots stored, ms", changer.put_ms);
    row("the change itself, ms", changer.store_ms);
    row("until the old queue is empty for good, ms", changer.empty_ms);
    std::fflush(stdout);
    changer.detach();
}

} // namespace

void ask_change(const Settings& settings) {
    // As in a swap of the host.
    write_text("/sys/kernel/rcu_expedited", "1");
    const bool can_reenqueue = kernel_has("scx_bpf_dsq_reenq");
    compare(can_reenqueue);
    fmt::print("\n4 spinners, 8 tasks that send each other messages, 2 that fork:\n");
    under_load(Handover::kDrain, settings.changes);
    if (can_reenqueue)
        under_load(Handover::kReenqueue, settings.changes);
    write_text("/sys/kernel/rcu_expedited", "0");
}

} // namespace scxhost::slots
