// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/suggest.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace scxhost {
namespace {

const std::vector<std::string> kOptions{"slice", "max_tasks", "boost_highpri", "partial", "fifo"};

TEST(Suggest, NearestWord) {
    const struct {
        const char* description;
        const char* word;
        const char* nearest; // nullptr: none
    } cases[] = {
        {"the word itself", "slice", "slice"},
        {"a letter is missing", "slce", "slice"},
        {"a letter too many", "slicee", "slice"},
        {"a wrong letter", "slize", "slice"},
        {"two neighbours swapped", "slcie", "slice"},
        {"letter case does not count", "SLICE", "slice"},
        {"a hyphen is an underscore", "max-tasks", "max_tasks"},
        {"a word cut short", "max_task", "max_tasks"},
        {"several errors in a long word", "bost_higpri", "boost_highpri"},
        {"too far", "timeout", nullptr},
        {"a short word that would have to be replaced altogether", "x", nullptr},
        {"nothing", "", nullptr},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.description);
        const auto nearest = nearest_word(test.word, kOptions);
        if (test.nearest)
            EXPECT_EQ(nearest, test.nearest);
        else
            EXPECT_EQ(nearest, std::nullopt);
    }
    EXPECT_EQ(nearest_word("slice", {}), std::nullopt);
    EXPECT_EQ(nearest_word(std::string(100000, 's'), kOptions), std::nullopt);
}

TEST(Suggest, TheFirstOfEquallyNearWordsWins) {
    EXPECT_EQ(nearest_word("bat", std::vector<std::string>{"cat", "hat"}), "cat");
    EXPECT_EQ(nearest_word("hot", std::vector<std::string>{"cot", "hot"}), "hot");
}

TEST(Suggest, SwappedNeighboursAreOneError) {
    EXPECT_EQ(nearest_word("acb", std::vector<std::string>{"abc"}), "abc");
    EXPECT_EQ(nearest_word("axx", std::vector<std::string>{"abc"}), std::nullopt) << "two errors in three letters";
}

TEST(Suggest, Lists) {
    EXPECT_EQ(list_words({}), "");
    EXPECT_EQ(list_words(std::vector<std::string>{"a"}), "a");
    EXPECT_EQ(list_words(std::vector<std::string>{"a", "b"}), "a or b");
    EXPECT_EQ(list_words(std::vector<std::string>{"a", "b", "c"}), "a, b or c");
    EXPECT_EQ(list_words(std::vector<std::string>{"a", "b", "c"}, "and"), "a, b and c");
}

TEST(Suggest, Hints) {
    EXPECT_EQ(suggest_word("slcie", kOptions, "options"), "did you mean \"slice\"?");
    EXPECT_EQ(suggest_word("quantum", kOptions, "options"),
              "known options: slice, max_tasks, boost_highpri, partial and fifo");
    EXPECT_EQ(suggest_word("quantum", {}, "options"), "there are no options");
}

TEST(Suggest, QuotedTextIsSafeToPrint) {
    EXPECT_EQ(quote_text("plain"), R"("plain")");
    EXPECT_EQ(quote_text("a\"b\\c"), R"("a\"b\\c")");
    EXPECT_EQ(quote_text("a\nb\tc"), R"("a\nb\tc")");
    EXPECT_EQ(quote_text(std::string("\0\x1b[31m\x7f", 7)), R"("\u0000\u001b[31m\u007f")");
    EXPECT_EQ(quote_text("für"), "\"für\"");
    EXPECT_EQ(quote_text("abcdef", 3), R"("abc...")");
    EXPECT_EQ(quote_text("aü", 2), R"("a...")") << "cut inside a character";
    EXPECT_EQ(quote_text(std::string(61, 'x')), '"' + std::string(60, 'x') + "...\"");
}

} // namespace
} // namespace scxhost
