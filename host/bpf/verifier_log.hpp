// SPDX-License-Identifier: GPL-2.0-only
//
// Makes sense of what libbpf and the kernel's verifier say when an object does not load.
#pragma once

#include "host/base/result.hpp"

#include <string>
#include <string_view>

namespace scxhost {

struct VerifierRefusal {
    std::string program;   // name of the refused program; empty: no program was refused
    std::string reason;    // the verifier's own last word
    std::string diagnosis; // one sentence on what it usually means; empty: not known
    std::string excerpt;   // the end of the log
};

// Reads libbpf's output of a failed load. `has_arena`: the object uses an arena, which has causes of its own.
VerifierRefusal parse_load_log(std::string_view log, bool has_arena = false);

// The error of a failed load: kVerifier when a program was refused, otherwise what the errno says. `sys_errno` is
// positive.
Error load_error(std::string_view object_name, int sys_errno, std::string_view log, bool has_arena = false);

} // namespace scxhost
