// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/command_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(CommandWords, AreWhatTheHelpSays) {
    EXPECT_THAT(split_command("make -j8 all").value(), ElementsAre("make", "-j8", "all"));
    EXPECT_THAT(split_command("  a\t b\n").value(), ElementsAre("a", "b"));
    EXPECT_THAT(split_command(R"(sh -c 'echo "$HOME"; ls | wc')").value(),
                ElementsAre("sh", "-c", R"(echo "$HOME"; ls | wc)"));
    EXPECT_THAT(split_command(R"(a "b \" \\ \n $c" d)").value(), ElementsAre("a", R"(b " \ \n $c)", "d"));
    EXPECT_THAT(split_command(R"(a\ b c\'d \$e)").value(), ElementsAre("a b", "c'd", "$e"));
    EXPECT_THAT(split_command(R"(--x="a b"'c'd '')").value(), ElementsAre("--x=a bcd", ""));
    EXPECT_THAT(split_command("make CC=gcc#1 ~/x [a]").value(), ElementsAre("make", "CC=gcc#1", "~/x", "[a]"));
}

TEST(CommandWords, WhatIsRefused) {
    for (const auto& [text, what] : std::vector<std::pair<std::string, std::string>>{{"", "empty"},
                                                                                     {" \t", "empty"},
                                                                                     {"a 'b", "' that is not closed"},
                                                                                     {"a \"b\\\"", "\" that is not"},
                                                                                     {"a \\", "backslash"},
                                                                                     {"a | b", "'|' outside of quotes"},
                                                                                     {"a;b", "';' outside"},
                                                                                     {"a >b", "'>' outside"},
                                                                                     {"echo $HOME", "'$' outside"},
                                                                                     {"ls *.c", "'*' outside"}}) {
        const auto words = split_command(text);
        ASSERT_FALSE(words) << text;
        EXPECT_EQ(words.error().kind, ErrorKind::kUsage) << text;
        EXPECT_THAT(words.error().what, HasSubstr(what)) << text;
    }
}

} // namespace
} // namespace scxhost
