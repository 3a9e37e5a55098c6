// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/error_json.hpp"
#include "host/cli/diagnostic.hpp"
#include "host/cli/exit_status.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace scxhost {
namespace {

TEST(Diagnostic, PlaceMessageDetailAndHint) {
    const Error error{.kind = ErrorKind::kConfig,
                      .what = "unknown key \"slize\"",
                      .hint = "did you mean \"slice\"?",
                      .where = SourceLocation{"conf.toml", 3, 1},
                      .detail = "first\nsecond\n"};
    EXPECT_EQ(format_diagnostic(Severity::kError, error, false), "conf.toml:3:1: error: unknown key \"slize\"\n"
                                                                 "    first\n"
                                                                 "    second\n"
                                                                 "  hint: did you mean \"slice\"?\n");
}

TEST(Diagnostic, AsMuchOfThePlaceAsIsKnown) {
    const auto place = [](const SourceLocation& where) {
        return format_diagnostic(Severity::kWarning, {.what = "x", .where = where}, false);
    };
    EXPECT_EQ(place({"f", 3, 0}), "f:3: warning: x\n");
    EXPECT_EQ(place({"f", 0, 7}), "f: warning: x\n");
    EXPECT_EQ(place({"", 3, 7}), "scxhost: warning: x\n");
    EXPECT_EQ(format_diagnostic(Severity::kNote, {.what = "x"}, false), "scxhost: note: x\n");
}

TEST(Diagnostic, ColourIsOnTheWordsOnly) {
    EXPECT_EQ(format_diagnostic(Severity::kError, {.what = "x", .hint = "y"}, true),
              "scxhost: \033[1;31merror:\033[0m x\n  \033[32mhint:\033[0m y\n");
}

TEST(Diagnostic, ForeignTextDoesNotDriveTheTerminal) {
    const Error error{.what = "a\033[2J", .hint = "b\a", .where = SourceLocation{"c\r", 1, 1}, .detail = "d\x9b"};
    EXPECT_EQ(format_diagnostic(Severity::kError, error, false), "c?:1:1: error: a?[2J\n    d?\n  hint: b?\n");
}

TEST(Diagnostic, Json) {
    const nlohmann::json full = to_json(Error{.kind = ErrorKind::kVerifier,
                                              .what = "refused",
                                              .hint = "look",
                                              .where = SourceLocation{"f", 2, 5},
                                              .sys_errno = 13,
                                              .detail = "log"});
    EXPECT_EQ(full, (nlohmann::json{{"kind", "verifier"},
                                    {"message", "refused"},
                                    {"hint", "look"},
                                    {"file", "f"},
                                    {"line", 2},
                                    {"column", 5},
                                    {"errno", 13},
                                    {"detail", "log"}}));
    EXPECT_EQ(to_json(Error{.what = "x"}), (nlohmann::json{{"kind", "internal"}, {"message", "x"}}));
}

TEST(Diagnostic, EveryKindHasOneStatus) {
    for (const ErrorKind kind :
         {ErrorKind::kUsage, ErrorKind::kConfig, ErrorKind::kPlugin, ErrorKind::kObject, ErrorKind::kIo})
        EXPECT_EQ(exit_status(kind), ExitStatus::kUsage) << to_string(kind);
    for (const ErrorKind kind : {ErrorKind::kBusy, ErrorKind::kVerifier, ErrorKind::kAttach, ErrorKind::kEjected})
        EXPECT_EQ(exit_status(kind), ExitStatus::kSchedulerFailed) << to_string(kind);
    EXPECT_EQ(exit_status(ErrorKind::kUnsupported), ExitStatus::kUnsupported);
    EXPECT_EQ(exit_status(ErrorKind::kPermission), ExitStatus::kPermission);
}

} // namespace
} // namespace scxhost
