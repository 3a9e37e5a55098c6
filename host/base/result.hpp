// SPDX-License-Identifier: GPL-2.0-only
//
// The one error type of the host and the Result<T> that carries it. A library function that can fail returns a
// Result; it neither logs nor exits. Errors become text only at the edge (host/cli/diagnostic.hpp).
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <utility>

namespace scxhost {

// What kind of thing went wrong. Each kind has exactly one exit status (host/cli/exit_status.hpp), so a new kind is
// needed only where a caller or a script has to tell it apart.
enum class ErrorKind {
    kUsage,       // the command line is wrong
    kConfig,      // a configuration file or an option value is wrong
    kPlugin,      // a plugin library is missing, refused or misbehaves
    kObject,      // a BPF object is missing, malformed or not a scheduler
    kUnsupported, // this kernel or machine lacks something that is needed
    kPermission,  // a capability or a file permission is missing
    kBusy,        // another scheduler is attached
    kVerifier,    // the kernel's verifier refused a program
    kAttach,      // loading or attaching failed, or the kernel did not enable the scheduler
    kEjected,     // the scheduler ran and the kernel ended it
    kNoHost,      // no host is running that could be asked
    kIo,          // reading or writing a file failed
    kInternal,    // a condition that cannot happen did
};

// A place in a text file; line and column count from 1, 0 means unknown.
struct SourceLocation {
    std::string file;
    unsigned line = 0;
    unsigned column = 0;

    bool operator==(const SourceLocation&) const = default;
};

// "file:3:7", "file:3" or "file": as much as is known.
[[nodiscard]] std::string to_string(const SourceLocation& where);

struct [[nodiscard]] Error {
    ErrorKind kind = ErrorKind::kInternal;
    std::string what;      // one sentence, no full stop: what was found and what was expected
    std::string hint = {}; // what the user can do next; may be empty
    std::optional<SourceLocation> where = {};
    int sys_errno = 0;       // positive error number of the failed call (error_number_text), or 0
    std::string detail = {}; // long material, shown below the message (the verifier's log)
};

template <typename T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Error error) {
    return std::unexpected<Error>(std::move(error));
}

[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string what, std::string hint = {}) {
    return fail(Error{.kind = kind, .what = std::move(what), .hint = std::move(hint)});
}

// What a positive error number means: an errno, the kernel's ENOTSUPP (524, unknown to libc), or one of libbpf's own,
// which start at 4000.
[[nodiscard]] std::string error_number_text(int number);

// A failed call: appends the error number's text to `what`. `sys_errno` is positive.
[[nodiscard]] std::unexpected<Error> fail_errno(ErrorKind kind, std::string what, int sys_errno, std::string hint = {});

} // namespace scxhost

// Evaluates an expression of type Result<T>; hands its error to the caller, otherwise yields the value. A statement
// expression is used because standard C++23 has no form that yields a value and returns early (g++ and clang both do).
// Not inside a braced initialiser: g++ 12 then forgets to destroy the members that were already initialised.
#define SCXHOST_TRY(...)                                                                                               \
    __extension__({                                                                                                    \
        auto scxhost_try_result = (__VA_ARGS__);                                                                       \
        if (!scxhost_try_result)                                                                                       \
            return std::unexpected<::scxhost::Error>(std::move(scxhost_try_result).error());                           \
        std::move(scxhost_try_result).value();                                                                         \
    })
