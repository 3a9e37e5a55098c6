// SPDX-License-Identifier: GPL-2.0-only
//
// One setting as the user wrote it: a key, a TOML value and the place where it stands. What the value may be is decided
// by whoever asks for it (the configuration's own keys, a plugin's options); the accessors convert, check limits, and
// fail with the key, what was found, what was expected and the place.
#pragma once

#include "host/base/result.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace scxhost {

struct Setting;

// What TOML can express and a setting can take; an array's elements are settings of their own, so that each knows its
// place ("fallback[1]").
using SettingValue = std::variant<bool, std::int64_t, double, std::string, std::vector<Setting>>;

struct Setting {
    std::string key; // as it is shown in diagnostics; sub-tables are flattened: "a.b"
    SettingValue value;
    SourceLocation where = {};     // of the value
    SourceLocation key_where = {}; // of the key: the place of "unknown key"
    // On the command line quotes are the shell's: there a bare word may be meant as a string or as a truth value
    // ("--set name=7", "--set fifo=yes"), so the text is kept as it was typed. Not set for values from a file.
    std::optional<std::string> typed = {};

    bool operator==(const Setting&) const = default;

    // All fail with ErrorKind::kConfig at `where`. Limits are inclusive.
    [[nodiscard]] Result<bool> as_bool() const;
    [[nodiscard]] Result<std::int64_t> as_integer(std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                                                  std::int64_t max = std::numeric_limits<std::int64_t>::max()) const;
    // A string with a unit; a bare number is refused.
    [[nodiscard]] Result<std::chrono::nanoseconds>
    as_duration(std::chrono::nanoseconds min = std::chrono::nanoseconds::zero(),
                std::chrono::nanoseconds max = std::chrono::nanoseconds::max()) const;
    // A string with a unit, or an integer number of bytes.
    [[nodiscard]] Result<std::uint64_t> as_size(std::uint64_t min = 0,
                                                std::uint64_t max = std::numeric_limits<std::uint64_t>::max()) const;
    [[nodiscard]] Result<std::string> as_string() const;
    // The index of the string in `words`; the hint of a failure names the nearest word.
    [[nodiscard]] Result<std::size_t> as_choice(std::span<const std::string> words) const;
    [[nodiscard]] Result<std::vector<Setting>> as_array() const;

    // An error about the value: `what` is put after the key ("slice: ...").
    [[nodiscard]] Error error(std::string_view what, std::string hint = {}) const;
};

// "the integer 20", `the string "abc"`, "an array": what was found, for diagnostics.
[[nodiscard]] std::string describe_value(const SettingValue& value);

// The value as TOML: `"20ms"`, `[1, 2]`.
[[nodiscard]] std::string format_value(const SettingValue& value);

} // namespace scxhost
