// SPDX-License-Identifier: GPL-2.0-only
//
// The user-space half of a plugin, loaded: library, descriptor, instance. Owns the library and the instance; refers to
// the plugin's BPF object, which must be closed before this is destroyed (the order link, object, instance, library is
// fixed by PreparedScheduler). Used from one thread.
#pragma once

#include "host/base/result.hpp"
#include "host/plugins/plugin_file.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace scxhost {

class SchedulerObject;

// Receives what a plugin logs. `level` is a scxhost_log_level.
using PluginLogSink = std::function<void(int level, std::string_view plugin, std::string_view message)>;

class Plugin {
public:
    // Loads the library of `file` and makes the instance. The descriptor must agree with what was read from the file
    // before any code of it ran. Errors: kPlugin.
    static Result<std::unique_ptr<Plugin>> load(const PluginFile& file, SchedulerObject& object, PluginLogSink log);

    Plugin(const Plugin&) = delete;
    Plugin& operator=(const Plugin&) = delete;
    ~Plugin();

    // The lifecycle of scxhost_plugin_callbacks; a missing callback succeeds. Errors: kPlugin, with what the plugin
    // reported. After the object is closed (object_closed) only destruction is allowed.
    Result<> configure();
    Result<> loaded();
    Result<> attached();
    Result<> tick();
    Result<> detaching();
    void object_closed();

private:
    struct State;
    explicit Plugin(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace scxhost
