// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/unique_fd.hpp"
#include "host/cli/log.hpp"
#include <scxhost/plugin.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <string>

namespace scxhost {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// What `action` writes to stderr. As the journal's stream: JOURNAL_STREAM names it.
std::string stderr_of(const std::function<void()>& action, bool journal = false) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd reader(ends[0]);
    struct stat status{};
    EXPECT_EQ(::fstat(ends[1], &status), 0);
    if (journal)
        ::setenv("JOURNAL_STREAM", fmt::format("{}:{}", status.st_dev, status.st_ino).c_str(), 1);
    const UniqueFd before(::dup(STDERR_FILENO));
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    action();
    ::dup2(before.get(), STDERR_FILENO);
    ::unsetenv("JOURNAL_STREAM");
    std::string text(4096, '\0');
    const ssize_t got = ::read(reader.get(), text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

void say_everything(const Log& log) {
    log.diagnostic(Severity::kError, {.what = "an error", .hint = "do something"});
    log.diagnostic(Severity::kWarning, {.what = "a warning"});
    log.diagnostic(Severity::kNote, {.what = "a note"});
    log.plugin_sink()(SCXHOST_LOG_ERROR, "qmap", "plugin error");
    log.plugin_sink()(SCXHOST_LOG_INFO, "qmap", "plugin info");
    log.plugin_sink()(SCXHOST_LOG_DEBUG, "qmap", "plugin debug");
}

TEST(LogTest, TheLevelIsForTheHostAndForPlugins) {
    const std::string some = stderr_of([] { say_everything(Log(LogLevel::kError)); });
    EXPECT_THAT(some, HasSubstr("scxhost: error: an error\n  hint: do something\n"));
    EXPECT_THAT(some, ContainsRegex("[0-9:.]+ error: qmap: plugin error\n"));
    for (const char* text : {"a warning", "a note", "plugin info", "plugin debug"})
        EXPECT_THAT(some, Not(HasSubstr(text)));
    const std::string all = stderr_of([] { say_everything(Log(LogLevel::kDebug)); });
    for (const char* text : {"a warning", "a note", "plugin info", "plugin debug"})
        EXPECT_THAT(all, HasSubstr(text));
}

TEST(LogTest, TheLevelMayChangeUnderASinkThatIsInUse) {
    const std::string text = stderr_of([] {
        Log log(LogLevel::kError);
        const PluginLogSink sink = log.plugin_sink();
        sink(SCXHOST_LOG_INFO, "qmap", "before");
        log.set_level(LogLevel::kInfo);
        sink(SCXHOST_LOG_INFO, "qmap", "after");
    });
    EXPECT_THAT(text, Not(HasSubstr("before")));
    EXPECT_THAT(text, HasSubstr("after"));
}

TEST(LogTest, TheJournalGetsPriorities) {
    EXPECT_EQ(stderr_of([] { say_everything(Log(LogLevel::kDebug)); }, /*journal=*/true),
              "<3>scxhost: error: an error\n<3>  hint: do something\n<4>scxhost: warning: a warning\n"
              "<6>scxhost: note: a note\n<3>qmap: plugin error\n<6>qmap: plugin info\n<7>qmap: plugin debug\n");
}

TEST(LogTest, TheJournalIsTheStreamThatItNames) {
    ::setenv("JOURNAL_STREAM", "1:2", 1);
    EXPECT_FALSE(is_journal(STDERR_FILENO));
    EXPECT_FALSE(is_journal(-1));
    ::unsetenv("JOURNAL_STREAM");
    EXPECT_FALSE(is_journal(STDERR_FILENO));
}

} // namespace
} // namespace scxhost
