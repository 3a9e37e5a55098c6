// SPDX-License-Identifier: GPL-2.0-only
//
// For tests of a plugin, C++20, with any test framework or none; link scxhost::testing. A Scheduler is a plugin library
// or a BPF object as the host would take it: options checked and set as by `scxhost run --set`, its user-space half
// loaded and asked. That takes neither rights nor sched_ext. Where the process may use BPF (CAP_BPF; or root), programs
// of the kind `syscall` in the object run in the kernel, which is how a test calls a policy's own functions. A
// scheduler that is attached belongs into a guest: scx_add_guest_test().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace scxhost::testing {

// What the host would have said. All that fails here throws it.
class [[gnu::visibility("default")]] Failure : public std::runtime_error {
public:
    Failure(const std::string& what, std::string hint)
        : std::runtime_error(hint.empty() ? what : what + "; hint: " + hint) {}
};

// This kernel, or this process's rights, do not allow it: a test may want to say so and pass.
class [[gnu::visibility("default")]] Unsupported : public Failure {
public:
    using Failure::Failure;
};

struct Option {
    std::string key;
    std::string value; // as TOML: "\"5ms\"", "true"
    bool set = false;  // as opposed to the default
};

class [[gnu::visibility("default")]] Scheduler {
public:
    // Opens x.so or x.bpf.o and sets options, each as "KEY=VALUE". Defaults that a declaration takes from the running
    // kernel stay as compiled, so that a test finds the same everywhere.
    explicit Scheduler(const std::string& file, const std::vector<std::string>& settings = {});
    Scheduler(Scheduler&&) noexcept;
    Scheduler& operator=(Scheduler&&) noexcept;
    ~Scheduler();

    [[nodiscard]] std::string name() const;
    [[nodiscard]] std::vector<Option> options() const;
    // The value of one option, as TOML.
    [[nodiscard]] std::string option(std::string_view key) const;
    // Names of the declared statistics.
    [[nodiscard]] std::vector<std::string> statistics() const;

    // Loads the plugin's library and lets its user-space half check the options. Nothing happens when it has none.
    void configure();

    // Loads the object's programs of the kind SEC("syscall"), with its maps and variables; no scheduler. Throws
    // Unsupported where BPF may not be used.
    void load();
    // Runs one of them in the kernel (BPF_PROG_RUN), and returns what it returned. `context` is what it gets, and is
    // copied back.
    std::uint32_t run(const std::string& program, std::span<std::byte> context = {});
    template <typename T>
    std::uint32_t run(const std::string& program, T& context) {
        static_assert(std::is_trivially_copyable_v<T>);
        return run(program, std::as_writable_bytes(std::span(&context, 1)));
    }

    // A global variable of the object: its initial value before load(), the live memory after it.
    [[nodiscard]] std::span<std::byte> bytes(std::string_view variable) const;
    template <typename T>
    [[nodiscard]] T get(std::string_view variable) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        std::memcpy(&value, checked(variable, sizeof value).data(), sizeof value);
        return value;
    }
    // After load() not for `const` ones, which the kernel has frozen.
    template <typename T>
    void set(std::string_view variable, const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        std::memcpy(checked(variable, sizeof value).data(), &value, sizeof value);
    }

private:
    [[nodiscard]] std::span<std::byte> checked(std::string_view variable, std::size_t size) const {
        const std::span<std::byte> found = bytes(variable);
        if (found.size() != size)
            throw Failure("variable " + std::string(variable) + " has " + std::to_string(found.size()) +
                              " bytes, the test expects " + std::to_string(size),
                          {});
        return found;
    }

    struct State;
    std::unique_ptr<State> state_;
};

} // namespace scxhost::testing
