// SPDX-License-Identifier: GPL-2.0-only
//
// The experiment's objects in the kernel: the root, which owns the program arrays, and policies that are loaded for its
// slots. With libbpf alone: what is asked here, the host's library does not do. Everything throws std::runtime_error
// with what failed; one thread.
#pragma once

#include "tests/research/slots/slots.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace scxhost::slots {

// The root's callbacks that have slots.
inline constexpr std::array<const char*, 6> kCallbacks = {"select_cpu", "enqueue",  "dispatch",
                                                          "running",    "stopping", "enable"};

class SlotObject {
public:
    // Opens objects/NAME.bpf.o below the working folder.
    explicit SlotObject(const std::string& name);
    SlotObject(const SlotObject&) = delete;
    SlotObject& operator=(const SlotObject&) = delete;
    ~SlotObject(); // detaches

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] bpf_object* get() const { return object_.get(); }

    // Before load: a `const volatile` global.
    void set(const std::string& variable, std::uint64_t value);
    // Before load: the member of a struct_ops of this type, a pointer to its program; nullptr when the type has none.
    [[nodiscard]] bpf_program** ops_member(const std::string& struct_ops, const std::string& member,
                                           const std::string& type = "sched_ext_ops") const;
    void load();

    // After load. Descriptors are the object's; -1 when there is none of this name.
    [[nodiscard]] int map(const std::string& map_name) const;
    [[nodiscard]] int program(const std::string& program_name) const;
    // The mapped bytes of a data section.
    template <typename T>
    [[nodiscard]] T& section(const std::string& section_name) const {
        return *static_cast<T*>(section_bytes(section_name));
    }
    // Runs a syscall program.
    slots_request run(const std::string& program_name, std::uint64_t dsq = 0) const;

    // NAME_ops becomes the root scheduler. Returns when the kernel shows it as enabled.
    void attach();
    // Waits until the kernel has disabled it; no error when it has ended by itself.
    void detach();

private:
    [[nodiscard]] void* section_bytes(const std::string& section_name) const;

    struct Close {
        void operator()(bpf_object* object) const { ::bpf_object__close(object); }
    };
    std::string name_;
    std::unique_ptr<bpf_object, Close> object_;
    bpf_link* link_ = nullptr;
};

// A policy that is loaded for a slot and not attached.
class Policy : public SlotObject {
public:
    Policy(const std::string& name, std::uint64_t dsq)
        : SlotObject(name)
        , dsq_(dsq) {
        set("own_dsq", dsq);
    }
    [[nodiscard]] std::uint64_t dsq() const { return dsq_; }

private:
    std::uint64_t dsq_;
};

class Root : public SlotObject {
public:
    // `indirect`: tail calls with the bank as index, not one of two direct jumps.
    explicit Root(bool indirect = false);

    [[nodiscard]] slots_state& state() const { return section<slots_state>(".data.slots"); }
    // Attaches the root with both banks empty, then puts this policy into bank 0.
    void attach_with(const Policy& policy);
    // Has the policy make its queues. Once for each attach of the root, since they are the root's.
    void set_up(const Policy& policy) const;
    // Stores the policy's programs in the bank's slots, and empties those that it has no program for.
    void put(std::uint32_t bank, const Policy& policy) const;
    void empty(std::uint32_t bank) const;
    // The change of policy.
    void use(std::uint32_t bank) const { __atomic_store_n(&state().bank, bank, __ATOMIC_SEQ_CST); }
    void drain(std::uint64_t dsq) const { __atomic_store_n(&state().drain_dsq, dsq, __ATOMIC_SEQ_CST); }
    [[nodiscard]] std::int64_t nr_queued(std::uint64_t dsq) const { return run("slots_count_queued", dsq).answer; }
    // False on a kernel that cannot.
    [[nodiscard]] bool reenqueue(std::uint64_t dsq) const { return run("slots_reenqueue", dsq).answer != 0; }
    // Throws when the kernel has taken the root out.
    void check_runs() const;
};

// Whether sched_ext is enabled, and of which name its root is.
bool enabled_as(const std::string& ops_name);

// Whether the running kernel's BTF has this name.
bool kernel_has(const std::string& name);

// Waits until no callback that began before runs any more: an RCU grace period.
void wait_for_callbacks();

} // namespace scxhost::slots
