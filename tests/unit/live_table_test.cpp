// SPDX-License-Identifier: GPL-2.0-only
//
// What is written is read by a terminal of the test's own, as far as it matters: lines, up, clear.
#include "host/base/unique_fd.hpp"
#include "host/cli/live_table.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <string>
#include <vector>

namespace scxhost {
namespace {

class Screen {
public:
    void write(std::string_view text) {
        while (!text.empty()) {
            if (text.starts_with("\033[J")) {
                text.remove_prefix(3); // whatever is below was dropped on the way up
            } else if (text.starts_with("\033[")) {
                const std::size_t end = text.find('F');
                ASSERT_NE(end, std::string_view::npos) << text;
                lines_.resize(lines_.size() - std::stoul(std::string(text.substr(2, end - 2))));
                text.remove_prefix(end + 1);
            } else {
                const std::size_t end = text.find('\n');
                ASSERT_NE(end, std::string_view::npos) << text;
                lines_.emplace_back(text.substr(0, end));
                text.remove_prefix(end + 1);
            }
        }
    }
    [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

private:
    std::vector<std::string> lines_;
};

using Lines = std::vector<std::string>;

TEST(LiveTable, IsRewrittenInPlace) {
    Screen screen;
    LiveTable table(-1);
    screen.write("before\n");
    screen.write(table.draw("after 1 s\na 1\n"));
    screen.write(table.draw("after 2 s\na 2\nb 1\n"));
    EXPECT_EQ(screen.lines(), Lines({"before", "after 2 s", "a 2", "b 1"}));
    screen.write(table.draw("after 3 s\n"));
    EXPECT_EQ(screen.lines(), Lines({"before", "after 3 s"}));
}

TEST(LiveTable, AMessageTakesItsPlace) {
    Screen screen;
    LiveTable table(-1);
    screen.write(table.draw("after 1 s\na 1\n"));
    screen.write(table.erase() + "message\n");
    EXPECT_EQ(table.erase(), "") << "nothing is there";
    screen.write(table.draw("after 2 s\na 2\n"));
    EXPECT_EQ(screen.lines(), Lines({"message", "after 2 s", "a 2"})) << "no old line stays";
}

TEST(LiveTable, FitsTheTerminal) {
    const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(terminal);
    const winsize small{.ws_row = 4, .ws_col = 10, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(terminal.get(), TIOCSWINSZ, &small), 0);
    Screen screen;
    LiveTable table(terminal.get());
    const std::string text = "1 a line that would wrap\n2\n3\n4\n5\n";
    screen.write(table.draw(text));
    EXPECT_EQ(screen.lines(), Lines({"1 a line t", "2", "3"}));
    screen.write(table.draw(text));
    EXPECT_EQ(screen.lines().size(), 3U);
}

} // namespace
} // namespace scxhost
