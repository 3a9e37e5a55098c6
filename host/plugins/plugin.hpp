// SPDX-License-Identifier: GPL-2.0-only
//
// The user-space half of a plugin, loaded: library, descriptor, instance, and the thread on which all of its code runs.
// Shares the BPF object with PreparedScheduler; at the end the object is closed, then the instance ends, then the
// library is unloaded. When the plugin hangs, all of that is left to its thread, for when it returns.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/declarations.hpp"
#include "host/plugins/plugin_calls.hpp"
#include "host/plugins/plugin_file.hpp"
#include "host/plugins/plugin_thread.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

class PluginInstance;
class SchedulerObject;

// A plugin that does not return.
struct PluginHang {
    std::string callback;
    std::chrono::nanoseconds since; // it was called
    std::chrono::nanoseconds cpu;   // time that it has used of a CPU since then
    Error error;                    // the same in words
};

class Plugin {
public:
    // Loads the library of `file` and makes the instance. The descriptor must agree with what was read from the file
    // before any code of it ran. Errors: kPlugin.
    static Result<std::unique_ptr<Plugin>> load(const PluginFile& file, std::shared_ptr<SchedulerObject> object,
                                                PluginLogSink log,
                                                PluginAllowances allowances = PluginAllowances::of_contract());

    Plugin(const Plugin&) = delete;
    Plugin& operator=(const Plugin&) = delete;
    // Waits for as long as a call that prepares may take; not at all for a plugin that hangs.
    ~Plugin();

    // A missing callback succeeds. Errors: kPlugin, with what the plugin reported, or that it hangs. While an earlier
    // call hangs, this one is made when that returns, and not waited for.
    Result<> call(PluginCallback callback);
    // The same without waiting; what came of it is among outcomes().
    void post(PluginCallback callback);
    [[nodiscard]] bool has(PluginCallback callback) const;
    [[nodiscard]] bool has_callbacks() const; // any, create() included

    // Before the object's owner closes it. A plugin that hangs keeps it open; after this it only ends.
    void release_object();

    [[nodiscard]] bool busy() const { return thread_->busy(); }
    [[nodiscard]] std::optional<PluginHang> hang() const;
    // Readable when outcomes() has something: results of posted calls, of calls that came too late, of event handlers.
    [[nodiscard]] int fd() const { return thread_->fd(); }
    [[nodiscard]] std::vector<PluginThread::Outcome> outcomes() { return thread_->outcomes(); }

    // What it has added to the statistics, up to loaded(), and their values now.
    [[nodiscard]] const std::vector<StatisticDeclaration>& statistics() const;
    void append_values(std::vector<std::int64_t>& values) const;

private:
    Plugin(std::shared_ptr<PluginInstance> instance, std::unique_ptr<PluginThread> thread, PluginAllowances allowances);
    [[nodiscard]] PluginThread::Call bind(PluginCallback callback) const;
    Result<> run(const char* callback, std::chrono::nanoseconds allowance, PluginThread::Call call);
    bool unload();
    [[nodiscard]] Error not_returned(const char* callback) const;

    std::shared_ptr<PluginInstance> instance_; // with the calls that are under way
    std::unique_ptr<PluginThread> thread_;
    PluginAllowances allowances_;
};

} // namespace scxhost
