// SPDX-License-Identifier: GPL-2.0-only
//
// Errors, warnings and notes as people read them, on stderr:
//   conf.toml:3:1: error: unknown key "slize"
//     hint: did you mean "slice"?
#pragma once

#include "host/base/result.hpp"

#include <string>
#include <string_view>

namespace scxhost {

enum class Severity { kError, kWarning, kNote };

// The text of a diagnostic, complete lines. Control characters in it are made harmless.
std::string format_diagnostic(Severity severity, const Error& error, bool colour);

// Writes to stderr, in colour on a terminal.
void print_diagnostic(Severity severity, const Error& error);
void print_note(std::string_view text);

} // namespace scxhost
