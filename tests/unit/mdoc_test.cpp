// SPDX-License-Identifier: GPL-2.0-only
#include "host/manual/mdoc.hpp"

#include <gtest/gtest.h>

namespace scxhost {
namespace {

TEST(Mdoc, NoTextIsARequest) {
    EXPECT_EQ(mdoc_text(".Sh NAME"), "\\&.Sh NAME");
    EXPECT_EQ(mdoc_text("'quoted' \\n `x` ~ --set"), "\\(aqquoted\\(aq \\en \\(gax\\(ga \\(ti \\-\\-set");
    EXPECT_EQ(mdoc_text("a → b"), "a \\[u2192] b");
    EXPECT_EQ(mdoc_argument("KEY=VALUE"), "KEY=VALUE");
    EXPECT_EQ(mdoc_argument("a \"b\""), "\"a \\(dqb\\(dq\"");
    EXPECT_EQ(mdoc_argument(""), "\"\"");
    EXPECT_EQ(mdoc_paragraph("ends. .x follows"), "ends.\n\\&.x follows\n");
}

TEST(Mdoc, ASentenceALine) {
    EXPECT_EQ(mdoc_paragraph("One. Two (three.) Four\nfive"), "One.\nTwo (three.)\nFour five\n");
    EXPECT_EQ(mdoc_paragraph(std::string(50, 'a') + " " + std::string(50, 'b')),
              std::string(50, 'a') + "\n" + std::string(50, 'b') + "\n");
    EXPECT_EQ(mdoc_paragraph(""), "");
}

TEST(Mdoc, FontsInThePlaceOfMarks) {
    EXPECT_EQ(mdoc_paragraph("Use `a b`, **c** and [d](e.md).", true), "Use \\fBa\\~b\\fP, \\fIc\\fP and \\fId\\fP.\n");
    EXPECT_EQ(mdoc_paragraph("`a\nb`", true), "\\fBa\\~b\\fP\n") << "code that the source breaks";
    EXPECT_EQ(mdoc_paragraph(std::string(70, 'a') + " `--set swap.probation=5s`", true),
              std::string(70, 'a') + "\n\\fB\\-\\-set\\~swap.probation=5s\\fP\n")
        << "where the line is full";
    EXPECT_EQ(mdoc_paragraph("a `b and [c] *", true), "a \\(gab and [c] *\n") << "no marks";
    EXPECT_EQ(mdoc_paragraph("`a`"), "\\(gaa\\(ga\n") << "no Markdown";
}

TEST(Mdoc, Markdown) {
    EXPECT_EQ(mdoc_from_markdown("<!-- x -->\n# Title\n\nFirst.\n\n## Part\n\nText:\n\n```\n.x\n```\n\nEnd.\n"),
              "First.\n.Ss Part\\&\nText:\n.Bd -literal -offset indent\n\\&.x\n.Ed\n.Pp\nEnd.\n");
    EXPECT_EQ(mdoc_from_markdown("* a\n  b\n* c\n"), ".Bl -bullet\n.It\na b\n.It\nc\n.El\n");
    EXPECT_EQ(mdoc_from_markdown("1. a\n2. b\n"), ".Bl -enum\n.It\na\n.It\nb\n.El\n");
}

TEST(Mdoc, TablesAreLists) {
    EXPECT_EQ(mdoc_from_markdown("| a | b |\n|---|---|\n| `x \\| y` | text |\n"),
              ".Bl -tag -width Ds\n.It \\fBx\\~|\\~y\\fP\ntext\n.El\n");
    EXPECT_EQ(mdoc_from_markdown("| Key | Default | Meaning |\n|---|---|---|\n| k | `1s` | A time. |\n| | | |\n"),
              ".Bl -tag -width Ds\n.It k\nDefault: \\fB1s\\fP.\nA time.\n.It \\&\n.El\n");
}

} // namespace
} // namespace scxhost
