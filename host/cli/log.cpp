// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/log.hpp"

#include "host/cli/terminal.hpp"
#include <scxhost/plugin.h>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace scxhost {
namespace {

// stderr, coloured on a terminal only.
spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = spdlog::stderr_color_mt("scxhost");
        made->set_pattern("%H:%M:%S.%e %^%l%$: %v");
        return made;
    }();
    return *instance;
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
        return logger().set_level(spdlog::level::err);
    case LogLevel::kWarning:
        return logger().set_level(spdlog::level::warn);
    case LogLevel::kInfo:
        return logger().set_level(spdlog::level::info);
    case LogLevel::kDebug:
        return logger().set_level(spdlog::level::debug);
    case LogLevel::kTrace:
        return logger().set_level(spdlog::level::trace);
    }
}

PluginLogSink plugin_log_sink() {
    return [](int level, std::string_view plugin, std::string_view message) {
        logger().log(plugin_level(level), "{}: {}", plugin, printable(message));
    };
}

} // namespace scxhost
