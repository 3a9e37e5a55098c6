// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/prepared_scheduler.hpp"

#include "host/base/file_trust.hpp"
#include "host/base/regular_file.hpp"
#include "host/bpf/kernel_fit.hpp"
#include "host/plugins/plugin_directory.hpp"

#include <fmt/format.h>

#include <new>
#include <system_error>

namespace scxhost {

std::filesystem::path scheduler_file(const Config& config) {
    if (!config.scheduler.object.empty())
        return config.scheduler.object;
    const std::string name = config.scheduler.plugin + ".so";
    std::error_code ignored;
    for (const std::filesystem::path& folder : config.host.plugin_dirs)
        if (std::filesystem::exists(folder / name, ignored))
            return folder / name;
    return config.host.plugin_dirs.empty() ? std::filesystem::path(name) : config.host.plugin_dirs.front() / name;
}

Result<std::unique_ptr<PreparedScheduler>> PreparedScheduler::from_plugin(PluginFile file) {
    std::unique_ptr<PreparedScheduler> result(new PreparedScheduler());
    result->path_ = file.path;
    result->plugin_info_ = file.info;
    result->object_ = std::make_shared<SchedulerObject>(SCXHOST_TRY(
        SchedulerObject::open({.name = file.info.name, .bytes = file.object, .struct_ops = file.info.struct_ops})));
    result->file_ = std::move(file);
    return result;
}

Result<std::unique_ptr<PreparedScheduler>> PreparedScheduler::from_object(const std::filesystem::path& path,
                                                                          const std::string& struct_ops) {
    const std::filesystem::path trusted = SCXHOST_TRY(check_trusted(path));
    const std::vector<std::byte> bytes = SCXHOST_TRY(read_binary_file(trusted, kMaxObjectBytes, "BPF object"));
    std::unique_ptr<PreparedScheduler> result(new PreparedScheduler());
    result->path_ = path;
    std::string name = path.filename().string();
    name = name.substr(0, name.find('.'));
    result->object_ = std::make_shared<SchedulerObject>(
        SCXHOST_TRY(SchedulerObject::open({.name = name, .bytes = bytes, .struct_ops = struct_ops})));
    return result;
}

Result<std::unique_ptr<PreparedScheduler>> PreparedScheduler::open(const Config& config) {
    std::unique_ptr<PreparedScheduler> result;
    if (config.scheduler.object.empty()) {
        PluginFile file = SCXHOST_TRY(find_plugin(config.host.plugin_dirs, config.scheduler.plugin));
        if (!config.scheduler.struct_ops.empty())
            file.info.struct_ops = config.scheduler.struct_ops;
        result = SCXHOST_TRY(from_plugin(std::move(file)));
    } else {
        result = SCXHOST_TRY(from_object(config.scheduler.object, config.scheduler.struct_ops));
    }
    for (const std::string& variable : config.stats.variables) {
        Result<> added = result->object_->add_statistics(variable);
        if (!added) {
            added.error().what =
                fmt::format("stats.variables: {} in '{}'", added.error().what, result->object_->name());
            added.error().where = config.where("stats.variables");
            return fail(std::move(added).error());
        }
    }
    return result;
}

Result<std::unique_ptr<PreparedScheduler>> PreparedScheduler::open_file(const std::filesystem::path& path,
                                                                        const std::string& struct_ops) {
    if (path.extension() == ".so")
        return from_plugin(SCXHOST_TRY(read_plugin_file(path)));
    return from_object(path, struct_ops);
}

Result<std::unique_ptr<PreparedScheduler>> PreparedScheduler::prepare(const Config& config, const KernelBtf& kernel,
                                                                      std::uint64_t hotplug_seq,
                                                                      PluginLogSink log) try {
    std::unique_ptr<PreparedScheduler> scheduler = SCXHOST_TRY(open(config));
    SCXHOST_TRY(scheduler->bind_options(config, &kernel));
    SCXHOST_TRY(scheduler->fit(kernel));
    if (scheduler->object().has_ops_member("hotplug_seq"))
        SCXHOST_TRY(scheduler->object().set_ops_member("hotplug_seq", hotplug_seq));
    SCXHOST_TRY(scheduler->configure(std::move(log)));
    SCXHOST_TRY(scheduler->load());
    scheduler->commit(kernel);
    return scheduler;
} catch (const std::bad_alloc&) {
    // What runs needs no more than it has; only what would have come in its place is lost.
    return fail(ErrorKind::kInternal, "out of memory while preparing the scheduler",
                "raise the memory limit of the host, or choose options that need less");
} catch (const std::exception& exception) {
    return fail(ErrorKind::kInternal, fmt::format("preparing the scheduler failed: {}", exception.what()));
}

PreparedScheduler::~PreparedScheduler() {
    if (plugin_ != nullptr)
        plugin_->release_object();
    object_.reset();
    plugin_.reset();
}

Result<> PreparedScheduler::bind_options(const Config& config, const KernelBtf* kernel) {
    if (kernel != nullptr)
        SCXHOST_TRY(choose_form(*object_, *kernel)); // options may go into the struct_ops
    binding_ = SCXHOST_TRY(scxhost::bind_options(*object_, config.scheduler.options, config.scheduler.ops, kernel));
    notes_.insert(notes_.end(), binding_.notes.begin(), binding_.notes.end());
    return {};
}

Result<> PreparedScheduler::fit(const KernelBtf& kernel) {
    const std::vector<std::string> fitted = SCXHOST_TRY(fit_to_kernel(*object_, kernel));
    notes_.insert(notes_.end(), fitted.begin(), fitted.end());
    return {};
}

Result<> PreparedScheduler::configure(PluginLogSink log) {
    if (!file_)
        return {};
    plugin_ = SCXHOST_TRY(Plugin::load(*file_, object_, std::move(log)));
    file_.reset();
    return plugin_->call(PluginCallback::kConfigure);
}

Result<> PreparedScheduler::load() {
    SCXHOST_TRY(object_->load());
    statistics_ = object_->declarations().statistics;
    if (plugin_ == nullptr)
        return {};
    SCXHOST_TRY(plugin_->call(PluginCallback::kLoaded));
    statistics_.insert(statistics_.end(), plugin_->statistics().begin(), plugin_->statistics().end());
    return {};
}

void PreparedScheduler::commit(const KernelBtf& kernel) {
    if (const Result<> committed = object_->commit(kernel); !committed)
        notes_.push_back(fmt::format("{} ({}), ignoring: the attach takes longer", committed.error().what,
                                     std::generic_category().message(committed.error().sys_errno)));
}

std::string PreparedScheduler::title() const {
    return plugin_info_ ? fmt::format("{} {}", plugin_info_->name, plugin_info_->version) : object_->name();
}

} // namespace scxhost
