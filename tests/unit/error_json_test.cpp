// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/error_json.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace scxhost {
namespace {

using nlohmann::json;

TEST(ErrorJson, EveryKindHasAWordOfItsOwn) {
    // The last one of the enumeration; a new kind behind it makes this test look at it too.
    for (int i = 0; i <= static_cast<int>(ErrorKind::kInternal); ++i) {
        const auto kind = static_cast<ErrorKind>(i);
        EXPECT_EQ(error_kind(to_string(kind)), kind) << to_string(kind);
    }
    EXPECT_EQ(to_string(ErrorKind::kNoHost), "no-host");
    EXPECT_EQ(error_kind("weather"), std::nullopt);
    EXPECT_EQ(error_kind(""), std::nullopt);
}

TEST(ErrorJson, WhatIsNotKnownIsLeftOut) {
    EXPECT_EQ(to_json(Error{.kind = ErrorKind::kBusy, .what = "taken"}),
              json({{"kind", "busy"}, {"message", "taken"}}));
    EXPECT_EQ(to_json(Error{.kind = ErrorKind::kConfig, .what = "x", .where = SourceLocation{.file = "a.toml"}}),
              json({{"kind", "config"}, {"message", "x"}, {"file", "a.toml"}}));
}

TEST(ErrorJson, ThereAndBack) {
    const Error error{.kind = ErrorKind::kVerifier,
                      .what = "refused",
                      .hint = "look",
                      .where = SourceLocation{.file = "a.toml", .line = 3, .column = 7},
                      .sys_errno = EINVAL,
                      .detail = "R1 type=scalar\nexpected=ptr_"};
    const Error back = error_from_json(to_json(error));
    EXPECT_EQ(back.kind, error.kind);
    EXPECT_EQ(back.what, error.what);
    EXPECT_EQ(back.hint, error.hint);
    ASSERT_TRUE(back.where);
    EXPECT_EQ(to_string(*back.where), "a.toml:3:7");
    EXPECT_EQ(back.sys_errno, error.sys_errno);
    EXPECT_EQ(back.detail, error.detail);
}

TEST(ErrorJson, AnythingElseReadsAsUnknown) {
    for (const json& strange : {json(), json("text"), json(7), json::array({1, 2}), json::object()}) {
        const Error error = error_from_json(strange);
        EXPECT_EQ(error.kind, ErrorKind::kInternal) << strange;
        EXPECT_EQ(error.what, "") << strange;
        EXPECT_FALSE(error.where) << strange;
    }
    const Error error = error_from_json({{"kind", 5},
                                         {"message", nullptr},
                                         {"hint", json::array()},
                                         {"file", "f"},
                                         {"line", -1},
                                         {"column", 1ULL << 40U},
                                         {"errno", ~0ULL},
                                         {"detail", true}});
    EXPECT_EQ(error.kind, ErrorKind::kInternal);
    EXPECT_EQ(error.what + error.hint + error.detail, "");
    ASSERT_TRUE(error.where);
    EXPECT_EQ(to_string(*error.where), "f");
    EXPECT_EQ(error.sys_errno, 0);
}

} // namespace
} // namespace scxhost
