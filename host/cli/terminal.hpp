// SPDX-License-Identifier: GPL-2.0-only
//
// What a terminal needs: colours only where they are wanted, harmless text, aligned columns.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

inline constexpr std::string_view kRed = "\033[1;31m";
inline constexpr std::string_view kGreen = "\033[32m";
inline constexpr std::string_view kYellow = "\033[33m";
inline constexpr std::string_view kCyan = "\033[36m";
inline constexpr std::string_view kBold = "\033[1m";
inline constexpr std::string_view kDim = "\033[2m";

// A terminal, and neither NO_COLOR nor TERM=dumb is set.
[[nodiscard]] bool wants_colour(int fd);
[[nodiscard]] std::string paint(std::string_view text, std::string_view colour, bool wanted);

// The text with control characters other than newline and tab replaced: it may come from a plugin, a file or the
// kernel's task names, and must not drive the terminal.
[[nodiscard]] std::string printable(std::string_view text);

// Columns that a terminal needs for one line: wide characters need two, combining ones and colours none.
[[nodiscard]] std::size_t columns_of(std::string_view text);
// As much of a line as fits into so many columns. Its colours are all kept, so that none stays on.
[[nodiscard]] std::string cut_to_columns(std::string_view line, std::size_t columns);

// Columns aligned to the left; numbers given as text in columns marked in `right` to the right. Lines end without
// spaces.
[[nodiscard]] std::string format_table(const std::vector<std::vector<std::string>>& rows,
                                       const std::vector<bool>& right = {});

// "12.3 ms", "4.2 s": for people, three digits.
[[nodiscard]] std::string human_duration(std::chrono::nanoseconds duration);
// "1234567" as "1 234 567".
[[nodiscard]] std::string group_digits(std::int64_t value);
// "12/s". Empty for a negative rate: the number went down, so it counts nothing.
[[nodiscard]] std::string format_rate(double per_second);
// A list in brackets, of many numbers, in few columns: "[0, 1, 2, ... (1024 in all)]". Any other text as it is.
[[nodiscard]] std::string shorten_list(const std::string& text);

} // namespace scxhost
