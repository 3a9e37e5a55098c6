// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/terminal.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

TEST(Terminal, ControlCharactersAreMadeHarmless) {
    EXPECT_EQ(printable("plain\ttext\n"), "plain\ttext\n");
    EXPECT_EQ(printable("\033[2Jx\a\r\x7f"), "?[2Jx???");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a?b");
    EXPECT_EQ(printable("Größe, 時間, 🐧"), "Größe, 時間, 🐧");
    EXPECT_EQ(printable("\xc2\x9b"
                        "2J"),
              "?2J")
        << "CSI in UTF-8";
    EXPECT_EQ(printable("\x9b"
                        "2J"),
              "?2J")
        << "CSI as one byte";
    EXPECT_EQ(printable("\xc2\xa0"), "\xc2\xa0") << "a no-break space";
    EXPECT_EQ(printable("\xe2\x82"), "??") << "a character that is cut off";
    EXPECT_EQ(printable("\xff\xc0\x80"), "???");
    EXPECT_EQ(printable("\xe2\x1b[m"), "??[m") << "an escape in the middle of a character";
    EXPECT_EQ(printable(""), "");
}

TEST(Terminal, ColourOnlyWhereItIsWanted) {
    EXPECT_EQ(paint("x", kRed, false), "x");
    EXPECT_EQ(paint("x", kGreen, true), "\033[32mx\033[0m");
    EXPECT_FALSE(wants_colour(-1)) << "no terminal";
}

TEST(Terminal, TablesAreAligned) {
    EXPECT_EQ(format_table({{"name", "n", "text"}, {"größe", "10"}, {"x", "2", "y"}}, {false, true}),
              "name    n  text\ngröße  10\nx       2  y\n");
    EXPECT_EQ(format_table({}), "");
    EXPECT_EQ(format_table({{}}), "\n");
}

TEST(Terminal, ColumnsAreThoseOfTheTerminal) {
    EXPECT_EQ(columns_of("abc"), 3U);
    EXPECT_EQ(columns_of("größe"), 5U);
    EXPECT_EQ(columns_of("時間"), 4U) << "two each";
    EXPECT_EQ(columns_of("e\xcc\x81"), 1U) << "a combining accent";
    EXPECT_EQ(columns_of(paint("red", kRed, true)), 3U);
    EXPECT_EQ(columns_of("\xff"), 1U);
    EXPECT_EQ(format_table({{"時間", "x"}, {"abcd", "y"}, {paint("ab", kRed, true), "z"}}),
              "時間  x\nabcd  y\n" + paint("ab", kRed, true) + "    z\n");
}

TEST(Terminal, LinesAreCutByColumns) {
    EXPECT_EQ(cut_to_columns("abcdef", 4), "abcd");
    EXPECT_EQ(cut_to_columns("abc", 4), "abc");
    EXPECT_EQ(cut_to_columns("時間です", 5), "時間") << "half a character is none";
    EXPECT_EQ(cut_to_columns(paint("abcdef", kBold, true) + "gh", 4), paint("abcd", kBold, true));
}

TEST(Terminal, RatesForPeople) {
    EXPECT_EQ(format_rate(12.4), "12/s");
    EXPECT_EQ(format_rate(-0.0), "0/s");
    EXPECT_EQ(format_rate(0), "0/s");
    EXPECT_EQ(format_rate(-0.2), "");
    EXPECT_EQ(format_rate(-7), "");
}

TEST(Terminal, LongListsAreShortened) {
    EXPECT_EQ(shorten_list("[1, 2, 3]"), "[1, 2, 3]");
    EXPECT_EQ(shorten_list("20ms"), "20ms");
    const std::string text = "[a, long, text, that, is, no, list, of, numbers, and, stays, as, it, is]";
    EXPECT_EQ(shorten_list(text), text);
    std::string zeros = "[0";
    for (int i = 1; i < 1024; ++i)
        zeros += ", 0";
    EXPECT_EQ(shorten_list(zeros + "]"), "[0, 0, 0, 0, 0, 0, 0, 0, ... (1024 in all)]");
}

TEST(Terminal, DurationsForPeople) {
    EXPECT_EQ(human_duration(0ns), "0 ns");
    EXPECT_EQ(human_duration(999ns), "999 ns");
    EXPECT_EQ(human_duration(1500ns), "1.5 us");
    EXPECT_EQ(human_duration(12'340us), "12.3 ms");
    EXPECT_EQ(human_duration(250ms), "250 ms");
    EXPECT_EQ(human_duration(4200ms), "4.2 s");
    EXPECT_EQ(human_duration(3600s), "3600 s");
}

TEST(Terminal, DigitsAreGrouped) {
    EXPECT_EQ(group_digits(0), "0");
    EXPECT_EQ(group_digits(999), "999");
    EXPECT_EQ(group_digits(1234567), "1 234 567");
    EXPECT_EQ(group_digits(-1234), "-1 234");
    EXPECT_EQ(group_digits(-123), "-123");
    EXPECT_EQ(group_digits(INT64_MIN), "-9 223 372 036 854 775 808");
}

} // namespace
} // namespace scxhost
