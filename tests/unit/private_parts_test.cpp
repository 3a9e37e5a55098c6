// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/private_parts.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace scxhost {
namespace {

using nlohmann::json;

TEST(PrivateParts, AreDroppedWhereverTheyStand) {
    json status = json::parse(R"({
        "phase": "good",
        "scheduler": {"name": "p", "options": {"args": "--token x", "env.KEY": "y", "user": "nobody"},
                      "process": {"pid": 7, "program": "/usr/bin/p", "args": ["--token", "x"]}},
        "quarantine": [{"title": "p", "options": "args=--token x", "reason": "failed"}],
        "last_swap": {"outcome": "failed", "error": {"kind": "ejected", "message": "m", "detail": "dump"}},
        "below": [{"last_swap": {"exit": {"reason": "r", "dump": "threads"}, "output": "last lines"}}]
    })");
    drop_private(status);
    EXPECT_EQ(status, json::parse(R"({
        "phase": "good",
        "scheduler": {"name": "p", "options": {"user": "nobody"}, "process": {"pid": 7, "program": "/usr/bin/p"}},
        "quarantine": [{"title": "p", "reason": "failed"}],
        "last_swap": {"outcome": "failed", "error": {"kind": "ejected", "message": "m"}},
        "below": [{"last_swap": {"exit": {"reason": "r"}}}]
    })"));
    json text = "dump";
    drop_private(text);
    EXPECT_EQ(text, "dump");
}

TEST(PrivateParts, AnEventThatHasNothingElse) {
    EXPECT_TRUE(is_private({{"event", "output"}, {"text", "x"}}));
    EXPECT_FALSE(is_private({{"event", "program-ended"}, {"output", "x"}}));
    EXPECT_FALSE(is_private("output"));
}

} // namespace
} // namespace scxhost
