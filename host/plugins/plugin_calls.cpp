// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin_calls.hpp"

#include <scxhost/plugin.h>

#include <fmt/format.h>

#include <array>
#include <cstddef>

namespace scxhost {

const char* name_of(PluginCallback callback) {
    static constexpr std::array kNames = {"configure", "loaded", "attached", "tick", "detaching"};
    return kNames.at(static_cast<std::size_t>(callback));
}

std::string describe_call(std::string_view call) {
    const bool is_callback = call != kLoadingCall && call != kUnloadingCall && call != kEventCall;
    return is_callback ? fmt::format("its {}() callback", call) : std::string(call);
}

PluginAllowances PluginAllowances::of_contract() {
    return {.preparing = std::chrono::milliseconds(SCXHOST_PREPARING_MS),
            .running = std::chrono::milliseconds(SCXHOST_RUNNING_MS)};
}

std::chrono::nanoseconds PluginAllowances::of(PluginCallback callback) const {
    const bool prepares = callback == PluginCallback::kConfigure || callback == PluginCallback::kLoaded;
    return prepares ? preparing : running;
}

} // namespace scxhost
