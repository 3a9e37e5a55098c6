// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin.hpp"

#include "host/bpf/scheduler_object.hpp"
#include "host/plugins/plugin_instance.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

namespace scxhost {
namespace {

// Each keeps a thread, a library and a loaded object; nobody shall pile them up by asking again and again.
constexpr unsigned kMaxLeftBehind = 4;

} // namespace

Plugin::Plugin(std::shared_ptr<PluginInstance> instance, std::unique_ptr<PluginThread> thread,
               PluginAllowances allowances)
    : instance_(std::move(instance))
    , thread_(std::move(thread))
    , allowances_(allowances) {}

Plugin::~Plugin() {
    const std::optional<PluginHang> known = hang();
    bool ended = thread_->end(
        "destroy", known ? std::chrono::nanoseconds{} : allowances_.preparing,
        [instance = instance_]() -> Result<> {
            instance->end();
            return {};
        },
        [instance = instance_] { instance->unload(); });
    // What nobody has heard of yet: detaching() after an ejection, for one.
    for (const PluginThread::Outcome& outcome : thread_->outcomes())
        if (!outcome.result)
            instance_->log(SCXHOST_LOG_WARNING, outcome.result.error().what);
    if (ended)
        ended = unload();
    if (ended)
        return;
    // Its thread may return when those who listen are gone.
    if (!known)
        instance_->log(SCXHOST_LOG_ERROR, not_returned("destroy").what);
    instance_->silence();
}

// The library's destructors are code of the plugin too. Objects that its threads had (thread_local) keep it from being
// unloaded: its own thread has to be gone before, and another one like it does this.
bool Plugin::unload() {
    Result<std::unique_ptr<PluginThread>> thread = PluginThread::start("scx/" + instance_->name());
    if (!thread)
        return true; // the instance unloads it with itself, on this thread
    thread_ = *std::move(thread);
    return thread_->end(
        kUnloadingCall, allowances_.preparing,
        [instance = instance_]() -> Result<> {
            instance->unload();
            return {};
        },
        [] {});
}

Result<std::unique_ptr<Plugin>> Plugin::load(const PluginFile& file, std::shared_ptr<SchedulerObject> object,
                                             PluginLogSink log, PluginAllowances allowances) {
    const auto refuse = [&](Error error) {
        error.what = fmt::format("cannot use plugin {}: {}", file.path.string(), error.what);
        return fail(std::move(error));
    };
    if (PluginThread::left_behind() >= kMaxLeftBehind)
        return refuse({.kind = ErrorKind::kPlugin,
                       .what = fmt::format("{} plugins that hang are in this process already", kMaxLeftBehind),
                       .hint = "restart scxhost to be rid of them"});
    auto instance = std::make_shared<PluginInstance>(file.info.name, std::move(object), std::move(log), allowances);
    std::unique_ptr<PluginThread> thread = SCXHOST_TRY(PluginThread::start("scx/" + file.info.name));
    std::unique_ptr<Plugin> plugin(new Plugin(instance, std::move(thread), allowances));

    // Constructors run here, before the first check that the library itself could answer.
    if (Result<> loaded =
            plugin->run(kLoadingCall, allowances.preparing, [instance, file] { return instance->load(file); });
        !loaded)
        return refuse(std::move(loaded).error());
    SCXHOST_TRY(plugin->run("create", allowances.preparing, [instance] { return instance->create(); }));
    return plugin;
}

PluginThread::Call Plugin::bind(PluginCallback callback) const {
    return [instance = instance_, callback] { return instance->call(callback); };
}

Result<> Plugin::run(const char* callback, std::chrono::nanoseconds allowance, PluginThread::Call call) {
    if (const std::optional<PluginHang> earlier = hang()) {
        thread_->post(callback, allowance, std::move(call));
        return fail(earlier->error);
    }
    std::optional<Result<>> result = thread_->run(callback, allowance, std::move(call));
    return result ? *std::move(result) : fail(not_returned(callback));
}

Result<> Plugin::call(PluginCallback callback) {
    return run(name_of(callback), allowances_.of(callback), bind(callback));
}

void Plugin::post(PluginCallback callback) {
    thread_->post(name_of(callback), allowances_.of(callback), bind(callback));
}

void Plugin::release_object() {
    // What is not done in time is done when the plugin returns.
    (void)run("release", allowances_.running, [instance = instance_]() -> Result<> {
        instance->release_object();
        return {};
    });
}

bool Plugin::has(PluginCallback callback) const {
    return instance_->has(callback);
}

bool Plugin::has_callbacks() const {
    return instance_->has_callbacks();
}

namespace {

PluginHang hang_of(const std::string& plugin, const PluginThread::Current& call) {
    const auto seconds = [](std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); };
    return {.callback = call.callback,
            .since = call.since,
            .cpu = call.cpu,
            .error = {.kind = ErrorKind::kPlugin,
                      .what = fmt::format("plugin '{}' hangs in {}: it has not returned for {:.1f} s, {:.1f} s of them "
                                          "on a CPU",
                                          plugin, describe_call(call.callback), seconds(call.since), seconds(call.cpu)),
                      .hint = "what takes long belongs on a thread of the plugin's own (docs/contract.md)",
                      .sys_errno = ETIMEDOUT}};
}

} // namespace

std::optional<PluginHang> Plugin::hang() const {
    const std::optional<PluginThread::Current> call = thread_->current();
    return call && call->hangs ? std::optional(hang_of(instance_->name(), *call)) : std::nullopt;
}

// `callback` was waited for in vain: to blame is what its thread does.
Error Plugin::not_returned(const char* callback) const {
    if (const std::optional<PluginThread::Current> call = thread_->current())
        return hang_of(instance_->name(), *call).error;
    return {.kind = ErrorKind::kPlugin,
            .what = fmt::format("plugin '{}' was not done with {} in time: its thread did not get that far",
                                instance_->name(), describe_call(callback)),
            .hint = "the machine may be short of CPU time",
            .sys_errno = ETIMEDOUT};
}

const std::vector<StatisticDeclaration>& Plugin::statistics() const {
    return instance_->statistics();
}

void Plugin::append_values(std::vector<std::int64_t>& values) const {
    instance_->append_values(values);
}

} // namespace scxhost
