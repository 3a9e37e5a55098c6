// SPDX-License-Identifier: GPL-2.0-only
//
// Durations, times, sizes, integers and truth values as people write them, in configuration files and on the command
// line.
// Every parser reads the whole text or fails with ErrorKind::kConfig; the caller adds where the text stands.
#pragma once

#include "host/base/result.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace scxhost {

// "20ms", "1.5s", "2m": a decimal number and one of ns, us, ms, s, m, h. The unit is required, and the value must be a
// whole number of nanoseconds that is not negative and fits.
[[nodiscard]] Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

// "512", "512B", "64K", "32KiB", "1.5MiB": a decimal number and one of B, K, KiB, M, MiB, G, GiB, T, TiB, all of them
// powers of 1024; without a unit bytes. The value must be a whole number of bytes.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);

// Decimal, or hexadecimal after 0x, with an optional sign; limits are inclusive.
[[nodiscard]] Result<std::int64_t> parse_integer(std::string_view text,
                                                 std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                                                 std::int64_t max = std::numeric_limits<std::int64_t>::max());

// true, yes, on, 1 and false, no, off, 0: the forms of the command line. In a TOML file only TOML's own true and false
// are truth values.
[[nodiscard]] Result<bool> parse_bool(std::string_view text);

// The shortest text that parse_duration reads back to exactly this value, with a number of at least one: "20ms",
// "1.5s", "90s". Of two equally short ones the one with the larger unit. The value must not be negative.
[[nodiscard]] std::string format_duration(std::chrono::nanoseconds value);

// As RFC 3339 has it, to the millisecond before: "2026-01-31T23:59:59.123Z".
[[nodiscard]] std::string utc_time(std::chrono::system_clock::time_point time);

// In the largest unit that divides the value: "64KiB", "1536KiB", "1000".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

// "from 1 to 8", or "at least 1" and "at most 8" where the other end is only what the type can hold.
[[nodiscard]] std::string describe_range(std::int64_t min, std::int64_t max);

} // namespace scxhost
