// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/workloads.hpp"
#include "tests/research/slots/load.hpp"
#include "tests/research/slots/questions.hpp"
#include "tests/research/slots/slot_object.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace scxhost::slots {
namespace {

void some_load() {
    ping_pong(1000); // with an idle CPU
    Children spinners;
    fill_cpus(spinners, 1);
    ping_pong(300);
    message_storm(3200);
}

void print_counts(const kfuncs_state& counts) {
    const std::pair<const char*, const slots_count&> all[] = {
        {"select_cpu_dfl", counts.select_cpu_dfl},
        {"dsq_insert to the local queue", counts.insert_local},
        {"dsq_insert to the global queue", counts.insert_global},
        {"dsq_insert to a queue of its own", counts.insert_fifo},
        {"dsq_insert_vtime", counts.insert_vtime},
        {"dsq_move_to_local", counts.move_to_local},
        {"dsq_move in an iterator", counts.move},
        {"kick_cpu", counts.kick_cpu},
        {"task's dsq_vtime set", counts.set_vtime},
        {"dsq_reenq", counts.reenq},
    };
    for (const auto& [name, count] : all)
        fmt::print("  {:34} {:>8} asked {:>8} done\n", name, count.asked, count.done);
}

// The kfuncs under load, in a tail-called program.
void in_slots() {
    Root root;
    root.load();
    Policy policy("kfuncs", 10);
    policy.load();
    root.attach_with(policy);
    some_load();
    root.check_runs();
    fmt::print("A load of pipes, messages and spinners came to its end; tasks that went past the slots: {}\n",
               root.state().fallbacks);
    print_counts(policy.section<kfuncs_state>(".data.kfuncs"));

    const int map = root.map("slots_ops");
    const int error = ::bpf_prog_assoc_struct_ops(policy.program("kfuncs_enqueue"), map, nullptr) == 0 ? 0 : errno;
    fmt::print("\nA slot's program associated with the root by hand: {}\n", error == 0 ? "done" : std::strerror(error));
    root.detach();
}

// A policy whose struct_ops was handed to the kernel: its programs then belong to that, and not to the root.
void of_another_scheduler() {
    Root root;
    root.load();
    Policy policy("kfuncs", 10);
    policy.load();
    root.attach();
    root.set_up(policy);
    // The kernel takes the struct_ops, and only then says that a scheduler is attached already.
    bpf_link* link = ::bpf_map__attach_struct_ops(::bpf_object__find_map_by_name(policy.get(), "kfuncs_ops"));
    fmt::print("\nAttaching the policy itself beside the root: {}\n", link == nullptr ? std::strerror(errno) : "done");
    root.put(1, policy);
    root.use(1);
    const auto runs = [&root] { return root.state().exit_kind == 0; };
    (void)wait_until([&] { return !runs() || policy.section<kfuncs_state>(".data.kfuncs").insert_fifo.asked > 20; });
    // Inserts that are refused leave their tasks to the watchdog.
    const auto deadline = Clock::now() + std::chrono::seconds(12);
    (void)wait_until([&] { return !runs() || Clock::now() > deadline; });
    fmt::print("Then, in its slots:\n");
    print_counts(policy.section<kfuncs_state>(".data.kfuncs"));
    fmt::print("  the root {}\n", runs() ? "runs" : std::string("was taken out: ") + root.state().exit_message);
    root.detach();
}

// A root that may have sub-schedulers, and one that may not.
void below_a_tree(bool with_sub_attach) {
    SlotObject tree("tree");
    const auto clear = [&tree](const char* callback) {
        if (bpf_program** program = tree.ops_member("tree_ops", callback, "sched_ext_ops_cid"))
            *program = nullptr;
    };
    if (!with_sub_attach) {
        clear("sub_attach");
        clear("sub_detach");
    }
    tree.load();
    const std::uint32_t slot = 0;
    const int program = tree.program("tree_slot_enqueue");
    if (::bpf_map_update_elem(tree.map("enqueue_slots"), &slot, &program, BPF_ANY) != 0)
        throw std::runtime_error("the tree's slot takes no program");
    tree.attach();
    const slots_state& state = tree.section<slots_state>(".data.slots");
    {
        Children spinners;
        fill_cpus(spinners, 1);
        const auto deadline = Clock::now() + std::chrono::seconds(12);
        (void)wait_until([&] { return state.exit_kind != 0 || Clock::now() > deadline; });
    }
    const slots_count& inserts = tree.section<kfuncs_state>(".data.kfuncs").insert_global;
    fmt::print("A root in the cid form {} sub_attach: dsq_insert {} asked, {} done; the root {}\n",
               with_sub_attach ? "with" : "without", inserts.asked, inserts.done,
               state.exit_kind == 0 ? "runs" : std::string("was taken out: ") + state.exit_message);
    tree.detach();
}

} // namespace

void ask_kfuncs() {
    in_slots();
    of_another_scheduler();
    if (!kernel_has("sched_ext_ops_cid"))
        return;
    fmt::print("\n");
    below_a_tree(false);
    below_a_tree(true);
}

} // namespace scxhost::slots
