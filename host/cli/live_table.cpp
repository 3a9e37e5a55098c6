// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/live_table.hpp"

#include "host/cli/terminal.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace scxhost {
namespace {

struct Size {
    std::size_t columns = std::numeric_limits<std::size_t>::max();
    std::size_t lines = std::numeric_limits<std::size_t>::max();
};

Size terminal_size(int fd) {
    Size size;
    winsize known{};
    if (::ioctl(fd, TIOCGWINSZ, &known) == 0) {
        if (known.ws_col > 0)
            size.columns = known.ws_col;
        if (known.ws_row > 1)
            size.lines = known.ws_row - 1U; // the cursor stands below the last one
    }
    return size;
}

} // namespace

std::string LiveTable::draw(std::string_view text) {
    const Size size = terminal_size(fd_);
    std::string result = erase();
    while (!text.empty() && lines_ < size.lines) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        result += cut_to_columns(text.substr(0, end), size.columns) + "\n";
        text.remove_prefix(std::min(end + 1, text.size()));
        ++lines_;
    }
    return result;
}

std::string LiveTable::erase() {
    const std::size_t lines = std::exchange(lines_, 0);
    // Up to its first line, then clear to the end of the screen.
    return lines == 0 ? std::string() : fmt::format("\033[{}F\033[J", lines);
}

} // namespace scxhost
