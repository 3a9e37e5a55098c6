// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/log.hpp"

#include "host/base/thread.hpp"
#include "host/base/write_all.hpp"
#include "host/cli/output.hpp"
#include "host/cli/terminal.hpp"
#include <scxhost/plugin.h>

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>

namespace scxhost {
namespace {

using Level = spdlog::level::level_enum;

Level level_of(LogLevel level) {
    switch (level) {
    case LogLevel::kError:
        return spdlog::level::err;
    case LogLevel::kWarning:
        return spdlog::level::warn;
    case LogLevel::kInfo:
        break;
    case LogLevel::kDebug:
        return spdlog::level::debug;
    case LogLevel::kTrace:
        return spdlog::level::trace;
    }
    return spdlog::level::info;
}

Level level_of(Severity severity) {
    switch (severity) {
    case Severity::kError:
        return spdlog::level::err;
    case Severity::kWarning:
        return spdlog::level::warn;
    case Severity::kNote:
        break;
    }
    return spdlog::level::info;
}

Level level_of_plugin(int level) {
    switch (level) {
    case SCXHOST_LOG_DEBUG:
        return spdlog::level::debug;
    case SCXHOST_LOG_INFO:
        return spdlog::level::info;
    case SCXHOST_LOG_WARNING:
        return spdlog::level::warn;
    default:
        return spdlog::level::err;
    }
}

int priority_of(Level level) {
    switch (level) {
    case spdlog::level::err:
        return LOG_ERR;
    case spdlog::level::warn:
        return LOG_WARNING;
    case spdlog::level::info:
        return LOG_INFO;
    default:
        return LOG_DEBUG;
    }
}

std::string_view colour_of(Level level) {
    switch (level) {
    case spdlog::level::err:
        return kRed;
    case spdlog::level::warn:
        return kYellow;
    default:
        return kGreen;
    }
}

// Each line of its own: the journal makes an entry of each.
std::string with_priority(std::string_view lines, Level level) {
    std::string result;
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        result += fmt::format("<{}>{}\n", priority_of(level), lines.substr(0, end));
        lines.remove_prefix(std::min(end + 1, lines.size()));
    }
    return result;
}

} // namespace

// Where the lines go. The formatter needs the lock, which the event loop's thread takes too: each plugin logs on its
// own thread.
struct Log::Lines {
    class Sink : public spdlog::sinks::sink {
    public:
        explicit Sink(Output* output)
            : output_(output)
            , journal_(is_journal(STDERR_FILENO))
            , colour_(wants_colour(STDERR_FILENO)) {
            Sink::set_pattern(journal_ ? "%v" : "%H:%M:%S.%e %^%l%$: %v");
        }
        void write(const std::string& lines, Level level) const {
            const std::string text = journal_ ? with_priority(lines, level) : lines;
            if (output_ != nullptr)
                output_->put(STDERR_FILENO, text);
            else
                (void)write_all(STDERR_FILENO, text);
        }
        [[nodiscard]] bool colour() const { return colour_; }

        void log(const spdlog::details::log_msg& message) override {
            spdlog::memory_buf_t line;
            {
                const std::scoped_lock lock(mutex_);
                formatter_->format(message, line);
            }
            const std::string text = fmt::to_string(line);
            const std::size_t begin = message.color_range_start;
            const std::size_t end = message.color_range_end;
            write(text.substr(0, begin) + paint(text.substr(begin, end - begin), colour_of(message.level), colour_) +
                      text.substr(end),
                  message.level);
        }
        void flush() override {}
        void set_pattern(const std::string& pattern) override {
            set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern));
        }
        void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override { formatter_ = std::move(formatter); }

    private:
        InheritingMutex mutex_; // for formatting
        std::unique_ptr<spdlog::formatter> formatter_;
        Output* output_;
        bool journal_;
        bool colour_;
    };

    explicit Lines(Output* output)
        : sink(std::make_shared<Sink>(output))
        , logger("scxhost", sink) {}

    std::shared_ptr<Sink> sink;
    spdlog::logger logger;
};

Log::Log(LogLevel level, Output* output)
    : lines_(std::make_shared<Lines>(output)) {
    set_level(level);
}

void Log::set_level(LogLevel level) {
    lines_->logger.set_level(level_of(level));
}

void Log::diagnostic(Severity severity, const Error& error) const {
    const Level level = level_of(severity);
    if (lines_->logger.should_log(level))
        lines_->sink->write(format_diagnostic(severity, error, lines_->sink->colour()), level);
}

PluginLogSink Log::plugin_sink() const {
    return [lines = lines_](int level, std::string_view plugin, std::string_view message) {
        lines->logger.log(level_of_plugin(level), "{}: {}", plugin, printable(message));
    };
}

bool is_journal(int fd) {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status{};
    return stream != nullptr && ::fstat(fd, &status) == 0 &&
           fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

} // namespace scxhost
