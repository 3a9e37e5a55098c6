// SPDX-License-Identifier: GPL-2.0-only
#include "tests/research/slots/load.hpp"
#include "tests/research/slots/questions.hpp"
#include "tests/research/slots/slot_object.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

namespace scxhost::slots {
namespace {

// How the tasks in the queue of the policy that goes come to run.
enum class Handover {
    kDrain,     // the root serves that queue first until it is empty
    kReenqueue, // that, and at once the kernel is asked to hand them to the new policy (7.1)
};

constexpr useconds_t kPauseUs = 500; // between two changes

// What there is to do before the change itself.
enum class Banks {
    kFilled, // nothing: two policies, one in each bank
    kStored, // three policies: the next one's programs are stored in the bank that is not used
};

bool can_reenqueue() {
    return kernel_has("scx_bpf_dsq_reenq");
}

std::string cell(const Samples& samples) {
    return fmt::format("{:.3f} (worst {:.3f})", median(samples), worst(samples));
}

class Changer {
public:
    explicit Changer(Banks banks, bool indirect = false)
        : banks_(banks)
        , nr_policies_(banks == Banks::kFilled ? 2 : 3)
        , root_(indirect) {
        root_.load();
        for (Policy& policy : policies_)
            policy.load();
    }

    void attach() {
        root_.attach_with(policies_[0]);
        for (std::size_t i = 1; i < nr_policies_; ++i)
            root_.set_up(policies_[i]);
        root_.put(1, policies_[1]);
        now_ = 0;
        bank_ = 0;
    }
    void detach() { root_.detach(); }

    // Returns when no task is left in the old queue.
    void change(Handover handover) {
        const Policy& old = policies_[now_];
        now_ = (now_ + 1) % nr_policies_;
        bank_ = 1 - bank_;

        auto start = Clock::now();
        if (banks_ == Banks::kStored)
            root_.put(bank_, policies_[now_]);
        put_ms_.push_back(milliseconds_since(start));

        // The old queue is served from before the change until it is empty for good. To hand its tasks back only after
        // a grace period would not do: what a grace period waits for may be a kernel thread in that queue.
        start = Clock::now();
        root_.drain(old.dsq());
        root_.use(bank_);
        store_ms_.push_back(milliseconds_since(start));
        if (handover == Handover::kReenqueue)
            (void)root_.reenqueue(old.dsq());
        // A callback that began in the old policy may still queue a task there.
        wait_for_callbacks();
        ended_ms_.push_back(milliseconds_since(start));
        start = Clock::now();
        const auto deadline = Clock::now() + std::chrono::seconds(20);
        while (root_.nr_queued(old.dsq()) != 0) {
            if (root_.state().exit_kind != 0 || Clock::now() > deadline)
                throw std::runtime_error(
                    fmt::format("the old queue does not get empty; {}", root_.state().exit_message));
            ::usleep(200);
        }
        root_.drain(0);
        empty_ms_.push_back(milliseconds_since(start));
    }

    [[nodiscard]] const Root& root() const { return root_; }

    void print_times() const {
        fmt::print(
            "      ms: the other bank stored {}, the change {}, until old callbacks have ended {}, then until the "
            "old queue is empty {}\n",
            banks_ == Banks::kStored ? cell(put_ms_) : "-", cell(store_ms_), cell(ended_ms_), cell(empty_ms_));
        std::fflush(stdout);
    }

private:
    Banks banks_;
    std::size_t nr_policies_;
    Root root_;
    Policy policies_[3] = {{"fifo", 1}, {"weighted", 2}, {"fifo", 3}};
    Samples put_ms_;
    Samples store_ms_;
    Samples ended_ms_;
    Samples empty_ms_;
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
void compare() {
    constexpr std::uint64_t kChanges = 200;
    constexpr std::uint64_t kSwaps = 50; // longer each, as are changes that patch code
    fmt::print("  {:30} {:>7} {:>8} {:>12} {:>12} {:>10} {:>8} {:>8}\n", "a busy task and a forking one", "changes",
               "seconds", "silence, ms", "over 1 ms", "fork, ms", "forks", "failed");
    Witnesses witnesses;
    const auto slots = [&](const char* what, Banks banks, Handover handover, bool indirect = false) {
        Changer changer(banks, indirect);
        changer.attach();
        watch(what, banks == Banks::kStored && !indirect ? kSwaps : kChanges, witnesses,
              [&] { changer.change(handover); });
        changer.root().check_runs();
        changer.print_times();
        changer.detach();
    };
    {
        Changer changer(Banks::kFilled);
        changer.attach();
        // What the changes below wait for is waited for here too, so that it is not put down to them.
        Samples waits;
        watch("no change", kChanges, witnesses, [&waits] {
            const auto start = Clock::now();
            wait_for_callbacks();
            waits.push_back(milliseconds_since(start));
        });
        fmt::print("      ms: a grace period {}\n", cell(waits));
        changer.detach();
    }
    slots("slots, drained", Banks::kFilled, Handover::kDrain);
    if (can_reenqueue())
        slots("slots, reenqueued", Banks::kFilled, Handover::kReenqueue);
    slots("slots stored anew, direct", Banks::kStored, Handover::kDrain);
    slots("slots stored anew, indirect", Banks::kStored, Handover::kDrain, true);

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
    watch("swap of the root", kSwaps, witnesses, [&] {
        const auto start = Clock::now();
        from->detach();
        to->attach();
        gaps.push_back(milliseconds_since(start));
        std::swap(from, to);
    });
    from->detach();
    fmt::print("      ms: the gap {}\n", cell(gaps));
}

void under_load(Banks banks, Handover handover, std::uint64_t changes) {
    // Slots that are stored anew are indirect ones: to patch code interrupts every CPU, which is dear where they take
    // turns.
    Changer changer(banks, banks == Banks::kStored);
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
    fmt::print(
        "  {}{}: {} changes in {:.1f} s, {} forks, {} failed; every task gets on, the root runs, past the slots: "
        "{}\n",
        handover == Handover::kDrain ? "drained" : "reenqueued", banks == Banks::kStored ? ", stored anew" : "",
        changes, seconds, load.forks(), load.forks_failed(), changer.root().state().fallbacks);
    changer.print_times();
    changer.detach();
}

// What the loads above have without slots and without a change: as many grace periods.
void under_load_unchanged(std::uint64_t grace_periods) {
    Policy policy("weighted", 1);
    policy.load();
    policy.attach();
    HeavyLoad load;
    become_real_time();
    Samples waits;
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < grace_periods; ++i) {
        const auto begin = Clock::now();
        wait_for_callbacks();
        waits.push_back(milliseconds_since(begin));
        ::usleep(kPauseUs);
    }
    const double seconds = milliseconds_since(start) / 1e3;
    become_ordinary();
    load.check_all_run();
    fmt::print("  no slots, no change: {:.1f} s, {} forks, {} failed; ms: a grace period {}\n", seconds, load.forks(),
               load.forks_failed(), cell(waits));
    std::fflush(stdout);
    policy.detach();
}

// RCU is expedited, as in a swap of the host.
class Expedited {
public:
    Expedited() { write_text(kPath, "1"); }
    Expedited(const Expedited&) = delete;
    Expedited& operator=(const Expedited&) = delete;
    ~Expedited() { write_text(kPath, "0"); }

private:
    static constexpr const char* kPath = "/sys/kernel/rcu_expedited";
};

} // namespace

void ask_change(const Settings& settings) {
    const Expedited expedited;
    for (int i = 0; i < settings.repeats; ++i)
        compare();
}

void ask_load(const Settings& settings) {
    const Expedited expedited;
    fmt::print("4 spinners, 8 tasks that send each other messages, 2 that fork:\n");
    under_load(Banks::kFilled, can_reenqueue() ? Handover::kReenqueue : Handover::kDrain, settings.changes);
    // The other ways, to see that they work.
    const std::uint64_t fewer = (settings.changes + 4) / 5;
    if (can_reenqueue())
        under_load(Banks::kFilled, Handover::kDrain, fewer);
    under_load(Banks::kStored, Handover::kDrain, fewer);
    under_load_unchanged(settings.changes);
}

} // namespace scxhost::slots
