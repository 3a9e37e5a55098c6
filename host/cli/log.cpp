// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/log.hpp"

#include "host/cli/output.hpp"
#include "host/cli/terminal.hpp"
#include <scxhost/plugin.h>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <mutex>

namespace scxhost {
namespace {

constexpr const char* kPattern = "%H:%M:%S.%e %^%l%$: %v";

// Lines that nobody waits for. The formatter needs the lock: each plugin logs on its own thread.
class OutputSink : public spdlog::sinks::base_sink<std::mutex> {
public:
    explicit OutputSink(Output& output)
        : output_(output)
        , colour_(wants_colour(STDERR_FILENO)) {
        set_pattern(kPattern);
    }

private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        const std::string text = fmt::to_string(line);
        const std::size_t begin = message.color_range_start;
        const std::size_t end = message.color_range_end;
        const std::string_view level = std::string_view(text).substr(begin, end - begin);
        output_.put(STDERR_FILENO,
                    text.substr(0, begin) + paint(level, colour_of(message.level), colour_) + text.substr(end));
    }
    void flush_() override {}

    static std::string_view colour_of(spdlog::level::level_enum level) {
        switch (level) {
        case spdlog::level::err:
            return kRed;
        case spdlog::level::warn:
            return kYellow;
        default:
            return kGreen;
        }
    }

    Output& output_;
    bool colour_;
};

// stderr, coloured on a terminal only.
const std::shared_ptr<spdlog::logger>& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = spdlog::stderr_color_mt("scxhost");
        made->set_pattern(kPattern);
        return made;
    }();
    return instance;
}

spdlog::level::level_enum plugin_level(int level) {
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

} // namespace

void set_log_level(LogLevel level) {
    switch (level) {
    case LogLevel::kError:
        return logger()->set_level(spdlog::level::err);
    case LogLevel::kWarning:
        return logger()->set_level(spdlog::level::warn);
    case LogLevel::kInfo:
        return logger()->set_level(spdlog::level::info);
    case LogLevel::kDebug:
        return logger()->set_level(spdlog::level::debug);
    case LogLevel::kTrace:
        return logger()->set_level(spdlog::level::trace);
    }
}

PluginLogSink plugin_log_sink(Output* output) {
    const auto made = output == nullptr
                          ? logger()
                          : std::make_shared<spdlog::logger>("scxhost", std::make_shared<OutputSink>(*output));
    made->set_level(logger()->level());
    return [made](int level, std::string_view plugin, std::string_view message) {
        made->log(plugin_level(level), "{}: {}", plugin, printable(message));
    };
}

} // namespace scxhost
