// SPDX-License-Identifier: GPL-2.0-only
//
// A text on a terminal that is rewritten in place.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace scxhost {

class LiveTable {
public:
    // `fd` is the terminal's: its size is asked for at each drawing.
    explicit LiveTable(int fd)
        : fd_(fd) {}

    // What to write to show `text`, which is whole lines, in place of the text before. Lines are cut at the right edge,
    // and as many are shown as the terminal has: what wraps or scrolls could not be overwritten.
    [[nodiscard]] std::string draw(std::string_view text);
    // What to write to remove it; what is written next stands in its place.
    [[nodiscard]] std::string erase();

private:
    int fd_;
    std::size_t lines_ = 0; // on the screen
};

} // namespace scxhost
