// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/program_output.hpp"

#include <gtest/gtest.h>

#include <string>

namespace scxhost {
namespace {

TEST(ProgramOutput, KeepsTheLastLines) {
    ProgramOutput output(64);
    EXPECT_EQ(output.last_lines(3), "");
    output.add("one\ntwo\nthr");
    output.add("ee\n");
    EXPECT_EQ(output.last_lines(1), "three");
    EXPECT_EQ(output.last_lines(2), "two\nthree");
    EXPECT_EQ(output.last_lines(10), "one\ntwo\nthree");
    output.add("unfinished");
    EXPECT_EQ(output.last_lines(1), "unfinished");
}

TEST(ProgramOutput, IsBoundedAndStartsWithAWholeLine) {
    ProgramOutput output(16);
    output.add(std::string(1000, 'x') + "\nfirst\nlast\n");
    EXPECT_EQ(output.bytes(), 1012U);
    EXPECT_EQ(output.last_lines(10), "first\nlast");
    for (int i = 0; i < 100; ++i)
        output.add("0123456\n");
    EXPECT_EQ(output.last_lines(100), "0123456");
    output.add(std::string(40, 'y')); // one line, of which the end is all there is
    EXPECT_EQ(output.last_lines(1), std::string(16, 'y'));
}

TEST(ProgramOutput, SendsNoControlToATerminal) {
    ProgramOutput output;
    output.add("\x1b[2Jgreen\ttea\x7f\n");
    EXPECT_EQ(output.last_lines(1), "?[2Jgreen\ttea?");
}

} // namespace
} // namespace scxhost
