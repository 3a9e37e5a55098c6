// SPDX-License-Identifier: GPL-2.0-only
//
// Words in diagnostics: the known word that somebody probably meant, lists that read as English, quoted input.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// The known word nearest to `word`, or nullopt when none is near enough to be worth a hint. Near: few insertions,
// deletions, changed letters and swapped neighbours for its length; letter case and '-' for '_' count for nothing. The
// first of equally near ones wins.
[[nodiscard]] std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string> known);

// "a", "a or b", "a, b or c"; with `conjunction` "and": "a, b and c". Empty for no words.
[[nodiscard]] std::string list_words(std::span<const std::string> words, std::string_view conjunction = "or");

// The hint for an unknown word: `did you mean "slice"?`, or, when none is near, `known <noun>: a, b and c`, or, when
// there is nothing to name, `there are no <noun>`. `noun` is a plural.
[[nodiscard]] std::string suggest_word(std::string_view word, std::span<const std::string> known,
                                       std::string_view noun);

// A text between double quotes, escaped as a TOML string is: on one line and without control characters, so safe to
// print on a terminal. More than `max_bytes` are cut with "...".
[[nodiscard]] std::string quote_text(std::string_view text, std::size_t max_bytes = 60);

} // namespace scxhost
