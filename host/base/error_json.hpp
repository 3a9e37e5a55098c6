// SPDX-License-Identifier: GPL-2.0-only
//
// Errors in the JSON that the commands print, the control socket carries and incident records keep.
#pragma once

#include "host/base/result.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string_view>

namespace scxhost {

// {"kind": …, "message": …, "hint": …, "file": …, "line": …, "column": …, "errno": …, "detail": …}; what is not known
// is left out.
[[nodiscard]] nlohmann::json to_json(const Error& error);
// And back, from whatever it may be: what is missing or of another type reads as unknown, the kind as kInternal.
[[nodiscard]] Error error_from_json(const nlohmann::json& json);

[[nodiscard]] std::string_view to_string(ErrorKind kind);
// And back; nullopt for a word that names none.
[[nodiscard]] std::optional<ErrorKind> error_kind(std::string_view word);

} // namespace scxhost
