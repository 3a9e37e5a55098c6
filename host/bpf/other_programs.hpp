// SPDX-License-Identifier: GPL-2.0-only
//
// The programs of a scheduler's object that are none of its struct_ops' callbacks: tracers, and syscall programs that
// somebody runs. They come and go with the scheduler.
#pragma once

#include "host/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct bpf_link;
struct bpf_map;
struct bpf_object;
struct bpf_program;

namespace scxhost {

class OtherPrograms {
public:
    struct Program {
        std::string name;
        std::string section; // "fentry/do_exit", "syscall"
    };

    // `object` must outlive this; `name` is its name in messages.
    OtherPrograms(bpf_object* object, std::string name);
    OtherPrograms(OtherPrograms&&) noexcept;
    OtherPrograms& operator=(OtherPrograms&&) noexcept;
    ~OtherPrograms(); // as detach()

    // Those that are loaded.
    [[nodiscard]] std::vector<Program> list() const;

    // After load: what they ask of their scheduler then reaches this one or none. Where the kernel cannot (before 7.1)
    // nothing is done. Errors: kAttach.
    Result<> associate(bpf_map* struct_ops);

    // Attaches where their sections say those that watch for a scheduler's registration, or all others. Those whose
    // section names no place stay loaded. On failure none at all is left attached. Errors: kAttach.
    Result<> attach(bool watching_registration);
    // Waits until none of them runs any more.
    void detach();

    // Runs a syscall program once; it may write to its context. What it returns. Errors: kObject, with the errno.
    Result<std::int32_t> run(const std::string& program, std::span<std::byte> context, bool is_loaded) const;

private:
    // Closing the last descriptor of such a link is what detaches, and it waits; most kinds have no other way.
    struct LinkCloser {
        void operator()(bpf_link* link) const;
    };

    bpf_object* object_;
    std::string name_;
    std::vector<std::unique_ptr<bpf_link, LinkCloser>> links_;
};

} // namespace scxhost
