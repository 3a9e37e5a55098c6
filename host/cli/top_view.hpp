// SPDX-License-Identifier: GPL-2.0-only
//
// What `scxhost top` shows: of what is known and what is looked at, lines of text with a style each, for a terminal of
// a given size. Knows no terminal.
#pragma once

#include "host/cli/top_keys.hpp"
#include "host/cli/top_model.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

struct TopSize {
    std::size_t columns = 80;
    std::optional<std::size_t> lines = 24; // nullopt: as many as it takes, and no word of keys
};
// Smaller ones get a line that says so.
inline constexpr std::size_t kTopColumns = 40;
inline constexpr std::size_t kTopLines = 10;
[[nodiscard]] bool fits_top(const TopSize& size);

struct TopSpan {
    std::string text;
    TopStyle style = TopStyle::kPlain;
};
struct TopLine {
    std::vector<TopSpan> spans;
    bool marked = false; // all of it
};
struct TopPicture {
    std::vector<TopLine> lines; // each fits into the columns; of a size with lines as many as it has
    // Where the reader types.
    struct Cursor {
        std::size_t line = 0;
        std::size_t column = 0;
    };
    std::optional<Cursor> cursor;
    std::size_t scroll = 0; // as far as there was something to scroll to
};

// `unicode`: the terminal shows more than ASCII.
[[nodiscard]] TopPicture draw_top(const TopModel& model, const TopState& state, const TopSize& size, bool unicode);

// The latest numbers of a history in so many columns, from nothing to the most among them.
[[nodiscard]] std::string sparkline(const std::deque<double>& history, std::size_t columns, bool unicode);

[[nodiscard]] std::string text_of(const TopLine& line);

} // namespace scxhost
