// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/prepared_scheduler.hpp"

#include "host/base/content_hash.hpp"
#include "host/base/file_trust.hpp"
#include "host/base/regular_file.hpp"
#include "host/bpf/kernel_fit.hpp"
#include "host/kernel/cgroup.hpp"
#include "host/kernel/features.hpp"
#include "host/plugins/plugin_directory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <system_error>

namespace scxhost {
namespace {

// The cgroup below which the object is to run as a sub-scheduler, by id; 0 for one that is to run the machine.
std::uint64_t sub_cgroup_of(const SchedulerObject& object) {
    constexpr std::string_view kMember = "sub_cgroup_id";
    constexpr std::uint64_t kRootCgroup = 1; // the kernel takes that for the machine (7.3.4, scx_enable)
    const std::uint64_t id = object.has_ops_member(kMember) ? object.ops_member(kMember).value_or(0) : 0;
    return id > kRootCgroup ? id : 0;
}

std::optional<std::chrono::milliseconds> watchdog_timeout_of(const SchedulerObject& object) {
    const std::uint64_t timeout = object.ops_member("timeout_ms").value_or(0);
    return timeout == 0 ? std::nullopt : std::optional(std::chrono::milliseconds(timeout));
}

// Where the configuration says what runs.
SourceLocation source_place(const Config& config) {
    return config.where(config.scheduler.object.empty() ? "scheduler.plugin" : "scheduler.object");
}

} // namespace

bool has_branches(const KernelBtf& kernel) {
    return probe(kernel, ProbeKind::kMember, "sched_ext_ops_cid.sub_attach") == Availability::kPresent &&
           probe(kernel, ProbeKind::kKfunc, "scx_bpf_sub_grant") == Availability::kPresent;
}

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
    result->facts_.file = file.path;
    result->plugin_info_ = file.info;
    result->object_ = std::make_shared<SchedulerObject>(SCXHOST_TRY(
        SchedulerObject::open({.name = file.info.name, .bytes = file.object, .struct_ops = file.info.struct_ops})));
    result->facts_.title = fmt::format("{} {}", file.info.name, file.info.version);
    result->facts_.file_digest = ContentHash::of(file.bytes);
    result->file_ = std::move(file);
    return result;
}

Result<std::unique_ptr<PreparedScheduler>> PreparedScheduler::from_object(const std::filesystem::path& path,
                                                                          const std::string& struct_ops) {
    const std::filesystem::path trusted = SCXHOST_TRY(check_trusted(path));
    const std::vector<std::byte> bytes = SCXHOST_TRY(read_binary_file(trusted, kMaxObjectBytes, "BPF object"));
    std::unique_ptr<PreparedScheduler> result(new PreparedScheduler());
    result->facts_.file = path;
    std::string name = path.filename().string();
    name = name.substr(0, name.find('.'));
    result->object_ = std::make_shared<SchedulerObject>(
        SCXHOST_TRY(SchedulerObject::open({.name = name, .bytes = bytes, .struct_ops = struct_ops})));
    result->facts_.title = name;
    result->facts_.file_digest = ContentHash::of(bytes);
    return result;
}

Result<std::unique_ptr<PreparedScheduler>> PreparedScheduler::open(const Config& config) {
    if (!config.scheduler.program.empty())
        return fail(ErrorKind::kUsage,
                    fmt::format("{} is a program: its object and its options are its own affair",
                                config.scheduler.program.string()),
                    "scxhost check starts it and says what it would attach; its own --help lists its arguments");
    std::unique_ptr<PreparedScheduler> result;
    if (config.scheduler.object.empty()) {
        PluginFile file = SCXHOST_TRY(find_plugin(config.host.plugin_dirs, config.scheduler.plugin));
        if (!config.scheduler.struct_ops.empty())
            file.info.struct_ops = config.scheduler.struct_ops;
        result = SCXHOST_TRY(from_plugin(std::move(file)));
    } else {
        result = SCXHOST_TRY(from_object(config.scheduler.object, config.scheduler.struct_ops));
    }
    result->sizes_ = SCXHOST_TRY(set_sizes(*result->object_, config.scheduler.sizes, result->machine_));
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
                                                                      std::uint64_t hotplug_seq, PluginLogSink log) {
    std::unique_ptr<PreparedScheduler> scheduler = SCXHOST_TRY(select(config, kernel));
    SCXHOST_TRY(scheduler->finish(kernel, hotplug_seq, std::move(log)));
    return scheduler;
}

Result<std::unique_ptr<PreparedScheduler>> PreparedScheduler::select(const Config& config, const KernelBtf& kernel) {
    std::unique_ptr<PreparedScheduler> scheduler = SCXHOST_TRY(open(config));
    SCXHOST_TRY(scheduler->bind_options(config, &kernel));
    SCXHOST_TRY(scheduler->check_branch(config, &kernel));
    SCXHOST_TRY(scheduler->take_place(config));
    return scheduler;
}

Result<> PreparedScheduler::finish(const KernelBtf& kernel, std::uint64_t hotplug_seq, PluginLogSink log) {
    SCXHOST_TRY(fit(kernel));
    if (object_->has_ops_member("hotplug_seq"))
        SCXHOST_TRY(object_->set_ops_member("hotplug_seq", hotplug_seq));
    SCXHOST_TRY(configure(std::move(log)));
    SCXHOST_TRY(load());
    commit(kernel);
    return {};
}

PreparedScheduler::~PreparedScheduler() {
    if (plugin_ != nullptr)
        plugin_->release_object();
    object_.reset();
    plugin_.reset();
}

Result<> PreparedScheduler::bind_options(const Config& config, const KernelBtf* kernel) {
    if (kernel != nullptr)
        SCXHOST_TRY(
            choose_form(*object_, *kernel, !config.branch.cgroup.empty())); // options may go into the struct_ops
    binding_ =
        SCXHOST_TRY(scxhost::bind_options(*object_, config.scheduler.options, config.scheduler.ops, kernel, machine_));
    setup_ = SCXHOST_TRY(ObjectSetup::bind(*object_, config.scheduler, machine_));
    facts_.notes.insert(facts_.notes.end(), binding_.notes.begin(), binding_.notes.end());
    facts_.name = object_->name();
    facts_.ops_name = object_->ops_name();
    facts_.build_id = object_->build_id();
    facts_.sub_cgroup = sub_cgroup_of(*object_);
    facts_.watchdog_timeout = watchdog_timeout_of(*object_);
    facts_.options.clear();
    for (const OptionValue& value : binding_.values)
        facts_.options.emplace_back(value.key, value.text);
    for (const Setting& setting : config.scheduler.ops)
        facts_.options.emplace_back("ops." + setting.key, format_value(setting.value));
    const std::vector<std::pair<std::string, std::string>> texts = setup_texts();
    facts_.options.insert(facts_.options.end(), texts.begin(), texts.end());
    return {};
}

Result<> PreparedScheduler::check_branch(const Config& config, const KernelBtf* kernel) const {
    if (config.branch.cgroup.empty())
        return {};
    const auto refuse = [&](ErrorKind kind, std::string_view what, std::string hint) {
        return fail(Error{
            .kind = kind,
            .what = fmt::format("'{}' cannot be the branch \"{}\": {}", object_->name(), config.branch.name, what),
            .hint = std::move(hint),
            .where = source_place(config)});
    };
    if (kernel != nullptr && !has_branches(*kernel))
        return refuse(ErrorKind::kUnsupported, kNoBranches, std::string(kWithoutBranches));
    if (!object_->has_ops_member("sub_cgroup_id"))
        return refuse(ErrorKind::kUnsupported, "it was built for kernels without sub-schedulers",
                      "build it against the headers of a kernel that has them");
    // 7.3.4, scx_sub_enable_workfn. Of two forms the kernel decides which is taken.
    if (kernel != nullptr && object_->ops_type_name() != kCidOpsType)
        return refuse(ErrorKind::kUnsupported,
                      "it is written for CPU numbers, and the kernel has only schedulers in cid form below another one",
                      "choose one that has this form, qmap for example (docs/plugin-guide.md)");
    if (facts_.sub_cgroup != 0)
        return refuse(ErrorKind::kConfig, "its own options say where it is to be attached, and so does the branch",
                      "leave that option out: the host sets the place of a branch");
    return {};
}

bool PreparedScheduler::takes_branches() const {
    const std::vector<std::string> members = object_->ops_members_set();
    return std::ranges::find(members, "sub_attach") != members.end();
}

Result<> PreparedScheduler::take_place(const Config& config) {
    if (config.branch.cgroup.empty())
        return {};
    Result<std::uint64_t> id = find_cgroup(config.branch.cgroup);
    if (!id) {
        id.error().where = config.where("below.cgroup");
        return fail(std::move(id).error());
    }
    SCXHOST_TRY(object_->set_ops_member("sub_cgroup_id", *id));
    facts_.sub_cgroup = *id;
    return {};
}

std::vector<std::pair<std::string, std::string>> PreparedScheduler::setup_texts() const {
    std::vector<std::pair<std::string, std::string>> texts = sizes_;
    texts.insert(texts.end(), setup_.texts().begin(), setup_.texts().end());
    return texts;
}

Result<> PreparedScheduler::fit(const KernelBtf& kernel) {
    const std::vector<std::string> fitted = SCXHOST_TRY(fit_to_kernel(*object_, kernel));
    facts_.notes.insert(facts_.notes.end(), fitted.begin(), fitted.end());
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
    SCXHOST_TRY(setup_.carry_out(*object_));
    statistics_ = SCXHOST_TRY(StatisticsReader::make(*object_));
    auto declared = std::make_shared<std::vector<StatisticDeclaration>>(object_->declarations().statistics);
    if (plugin_ != nullptr) {
        SCXHOST_TRY(plugin_->call(PluginCallback::kLoaded));
        declared->insert(declared->end(), plugin_->statistics().begin(), plugin_->statistics().end());
    }
    facts_.statistics = std::move(declared);
    return {};
}

Result<> PreparedScheduler::attach_programs() {
    SCXHOST_TRY(object_->attach_programs());
    const Result<> done = setup_.after_attach(*object_);
    if (!done)
        object_->detach_programs();
    return done;
}

void PreparedScheduler::commit(const KernelBtf& kernel) {
    if (const Result<> committed = object_->commit(kernel); !committed)
        facts_.notes.push_back(fmt::format("{} ({}), ignoring: the attach takes longer", committed.error().what,
                                           error_number_text(committed.error().sys_errno)));
}

Result<std::vector<std::int64_t>> PreparedScheduler::read_statistics() {
    std::vector<std::int64_t> values = SCXHOST_TRY(statistics_->read());
    if (plugin_ != nullptr)
        plugin_->append_values(values);
    return values;
}

Result<> PreparedScheduler::before_detach() {
    return plugin_ == nullptr ? Result<>() : plugin_->call(PluginCallback::kDetaching);
}

void PreparedScheduler::after_attach(Attachment&) {
    if (plugin_ != nullptr)
        plugin_->post(PluginCallback::kAttached);
}

void PreparedScheduler::after_leaving() {
    if (plugin_ != nullptr)
        plugin_->post(PluginCallback::kDetaching);
}

// One with a callback may have asked for events in it.
bool PreparedScheduler::can_hang() const {
    return plugin_ != nullptr && plugin_->has_callbacks();
}

bool PreparedScheduler::ticks() const {
    return plugin_ != nullptr && plugin_->has(PluginCallback::kTick);
}

// No sample waits for a plugin that is late.
bool PreparedScheduler::begin_tick() {
    if (!ticks() || plugin_->busy())
        return false;
    plugin_->post(PluginCallback::kTick);
    return true;
}

std::vector<SchedulerNews> PreparedScheduler::news() {
    std::vector<SchedulerNews> news;
    for (PluginThread::Outcome& outcome : plugin_->outcomes())
        news.push_back({.result = std::move(outcome.result), .ticked = outcome.callback == std::string_view("tick")});
    return news;
}

std::optional<PluginHang> PreparedScheduler::hang() const {
    return plugin_ == nullptr ? std::nullopt : plugin_->hang();
}

} // namespace scxhost
