// SPDX-License-Identifier: GPL-2.0-only
//
// The calls that the host makes into a plugin: their names, how long each may take, and where its log lines go.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace scxhost {

// Those of scxhost_plugin_callbacks that the host calls by name.
enum class PluginCallback { kConfigure, kLoaded, kAttached, kTick, kDetaching };

// The callback's name in the contract, for as long as the program runs.
[[nodiscard]] const char* name_of(PluginCallback callback);

// Calls into code of a plugin that are no callbacks.
inline constexpr const char* kLoadingCall = "its library's constructors";
inline constexpr const char* kUnloadingCall = "its library's destructors";
inline constexpr const char* kEventCall = "an event handler";

// Where something happened, as a sentence names it: "its tick() callback", or one of the three above.
[[nodiscard]] std::string describe_call(std::string_view call);

// How long a call may take before the plugin is said to hang.
struct PluginAllowances {
    std::chrono::nanoseconds preparing; // create, configure, loaded, destroy, and loading the library
    std::chrono::nanoseconds running;   // the others
    static PluginAllowances of_contract();
    [[nodiscard]] std::chrono::nanoseconds of(PluginCallback callback) const;
};

// Receives what a plugin logs, on its thread. `level` is a scxhost_log_level.
using PluginLogSink = std::function<void(int level, std::string_view plugin, std::string_view message)>;

} // namespace scxhost
