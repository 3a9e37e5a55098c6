// SPDX-License-Identifier: GPL-2.0-only
#include "tests/research/slots/load.hpp"
#include "tests/research/slots/questions.hpp"
#include "tests/research/slots/slot_object.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <string>

namespace scxhost::slots {
namespace {

// The canary of a host: an ordinary task that counts rounds of sleep, so that a policy that loses tasks is noticed by
// what it loses.
class Canary {
public:
    Canary() {
        tasks_.start([](Board& board, std::size_t) {
            for (;; ++board.work[0])
                ::usleep(10000);
        });
    }
    // Waits until it has not got on for `patience`; false when it always does.
    bool starves(std::chrono::milliseconds patience) {
        const auto deadline = Clock::now() + std::chrono::seconds(30);
        auto last = Clock::now();
        for (std::uint64_t seen = tasks_.board().work[0]; Clock::now() < deadline; ::usleep(10000)) {
            if (const std::uint64_t now = tasks_.board().work[0]; now != seen) {
                seen = now;
                last = Clock::now();
            } else if (Clock::now() - last > patience) {
                return true;
            }
        }
        return false;
    }

private:
    Children tasks_;
};

struct Case {
    const char* what;
    slots_fault fault;
    bool host_answers; // by exchanging the banks back when its canary starves
};

void try_fault(const Case& at) {
    Root root;
    root.load();
    Policy good("fifo", 1);
    good.load();
    Policy broken("broken", 2);
    broken.set("fault", at.fault);
    // What the policy calls `state` is the root's.
    bpf_map* state = nullptr;
    bpf_object__for_each_map(state, broken.get()) {
        if (std::string(::bpf_map__name(state)).ends_with("data.slots"))
            ::bpf_map__reuse_fd(state, root.map(".data.slots"));
    }
    broken.load();
    root.attach_with(good);
    root.set_up(broken);
    root.put(1, broken);

    Canary canary;
    HeavyLoad load;
    become_real_time();
    const auto start = Clock::now();
    root.drain(good.dsq());
    root.use(1);
    wait_for_callbacks();
    (void)wait_until([&] { return root.state().exit_kind != 0 || root.nr_queued(good.dsq()) == 0; });
    std::string answer = "-";
    if (at.host_answers && canary.starves(std::chrono::milliseconds(1000))) {
        root.drain(broken.dsq());
        root.use(0);
        answer = fmt::format("{:.0f} ms", milliseconds_since(start));
    }
    // Longer than the watchdog ever takes: one and a half times its five seconds.
    while (milliseconds_since(start) < 10000 && root.state().exit_kind == 0)
        ::usleep(10000);
    become_ordinary();
    const bool runs = root.state().exit_kind == 0;
    fmt::print("  {:44} answered after {:8} {}\n", at.what, answer,
               runs ? fmt::format("the root runs, bank {}", root.state().bank)
                    : fmt::format("taken out: {} ({})", root.state().exit_message, root.state().exit_kind));
    if (runs)
        load.check_all_run();
    std::fflush(stdout);
    root.detach();
}

} // namespace

void ask_errors() {
    const Case cases[] = {
        {"scx_bpf_error() in a slot", SLOTS_FAULT_ERROR, true},
        {"misuse of a kfunc in a slot", SLOTS_FAULT_MISUSE, true},
        {"a slot that loses tasks, nobody answers", SLOTS_FAULT_LOSE, false},
        {"a slot that loses tasks, the host answers", SLOTS_FAULT_LOSE, true},
        {"a slot that gives itself up", SLOTS_FAULT_GIVE_UP, false},
    };
    for (const Case& at : cases)
        try_fault(at);
}

} // namespace scxhost::slots
