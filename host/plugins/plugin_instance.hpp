// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin's library with the instance that it has made, and what that calls of the host. Everything that runs code of
// the plugin runs on the plugin's own thread (PluginThread); which thread that is, who waits for it and how long, is
// Plugin's affair.
#pragma once

#include "host/base/result.hpp"
#include "host/base/thread.hpp"
#include "host/bpf/declarations.hpp"
#include "host/plugins/plugin_calls.hpp"
#include "host/plugins/plugin_file.hpp"
#include "host/plugins/plugin_library.hpp"
#include <scxhost/plugin.h>

#include <bpf/libbpf.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

class SchedulerObject;

class PluginInstance {
public:
    PluginInstance(std::string name, std::shared_ptr<SchedulerObject> object, PluginLogSink log,
                   PluginAllowances allowances);
    // The host functions have its address.
    PluginInstance(const PluginInstance&) = delete;
    PluginInstance& operator=(const PluginInstance&) = delete;
    ~PluginInstance();

    // On any thread.
    [[nodiscard]] const std::string& name() const { return name_; }
    void log(int level, std::string_view message);
    // Nobody listens any more.
    void silence();
    // What set_statistic() was called with last.
    void append_values(std::vector<std::int64_t>& values) const;

    // On any thread, once load() is through.
    [[nodiscard]] bool has(PluginCallback callback) const;
    [[nodiscard]] bool has_callbacks() const;
    // And these once loaded() is.
    [[nodiscard]] const std::vector<StatisticDeclaration>& statistics() const { return statistics_; }

    // On the plugin's thread, in this order. Errors: those of PluginLibrary::load(); kPlugin, with what the plugin
    // reported.
    Result<> load(const PluginFile& file);
    Result<> create();
    Result<> call(PluginCallback callback); // one that is missing succeeds
    void release_object();
    void end();
    void unload() { library_.unload(); }

private:
    struct RingBufferFree {
        void operator()(ring_buffer* buffer) const { ring_buffer__free(buffer); }
    };
    struct Watched {
        PluginInstance* instance = nullptr;
        scxhost_event_handler handler = nullptr;
        void* cookie = nullptr;
    };

    // `goal` is what the callback is for, after "failed to".
    template <typename Function>
    Result<> guarded(std::string_view method, std::string_view goal, Function&& function);
    [[nodiscard]] Error failure(std::string_view goal, std::int32_t code) const;
    [[nodiscard]] Error escaped_exception(std::string_view method) const;
    Result<> deliver_events();

    // What plugins call, with this as the context. The calls come from foreign code: nothing may throw out of them, and
    // nothing passed in is trusted to be there.
    static void log_line(void* context, std::int32_t level, const char* message) noexcept;
    static void report_error(void* context, const char* message, const char* hint) noexcept;
    static std::int32_t find_variable(void* context, const char* name, scxhost_variable* out) noexcept;
    static std::int32_t find_map(void* context, const char* name, scxhost_map* out) noexcept;
    static std::int32_t add_statistic(void* context, const scxhost_statistic* statistic) noexcept;
    static std::int32_t set_statistic(void* context, std::int32_t number, std::int64_t value) noexcept;
    static std::int32_t watch_events(void* context, const char* map, scxhost_event_handler handler,
                                     void* cookie) noexcept;
    static std::int32_t run_program(void* context, const char* program, void* argument, std::size_t bytes,
                                    std::int32_t* result) noexcept;
    static std::int32_t resize(void* context, const char* name, std::uint32_t entries) noexcept;
    static std::int32_t set_flag(void* context, const char* flag) noexcept;
    static int take_record(void* watched, void* data, std::size_t bytes);

    const std::string name_;
    const PluginAllowances allowances_;
    PluginLibrary library_;
    scxhost_host host_{};

    // What follows is used on the plugin's thread only.
    std::shared_ptr<SchedulerObject> object_; // null once it is closed
    void* instance_ = nullptr;
    bool created_ = false;
    std::string reported_;
    std::string reported_hint_;
    std::map<std::string, Watched> watched_; // by map
    std::optional<Error> event_failure_;     // the last one of a go
    std::unique_ptr<ring_buffer, RingBufferFree> ring_;

    // Written on its thread until loaded() is through, and only read after that.
    std::vector<StatisticDeclaration> statistics_;
    bool statistics_are_final_ = false;
    // Written by any thread of the plugin.
    std::array<std::atomic<std::int64_t>, SCXHOST_STATISTICS_MAX> values_{};
    std::atomic<std::int32_t> nr_values_ = 0;

    InheritingMutex log_mutex_;
    PluginLogSink log_; // empty: nobody listens any more
};

} // namespace scxhost
