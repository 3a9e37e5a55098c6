// SPDX-License-Identifier: GPL-2.0-only
//
// A scheduler that is a BPF object of this process, with everything that belongs to it: the plugin's library and
// instance, if it has code, and the object. Each step is done while whatever scheduler runs goes on; only attaching
// (attach.hpp) is not. Owns both; its destruction closes the object first, then ends the instance, then unloads the
// library. Of a plugin that hangs nothing is taken away: all of it stays until the plugin returns.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/machine_facts.hpp"
#include "host/bpf/object_setup.hpp"
#include "host/bpf/options.hpp"
#include "host/bpf/scheduler_object.hpp"
#include "host/bpf/statistics.hpp"
#include "host/config/config.hpp"
#include "host/plugins/plugin.hpp"
#include "host/plugins/plugin_file.hpp"
#include "host/supervisor/scheduler.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

class KernelBtf;

// Largest BPF object file that is read.
inline constexpr std::size_t kMaxObjectBytes = 64U << 20U;

// The file that PreparedScheduler::open() would read: the object, or the plugin's library in the first folder that has
// one. Without one, where the first folder would have it.
[[nodiscard]] std::filesystem::path scheduler_file(const Config& config);

// Whether the kernel can have schedulers below others, with capabilities that these give.
[[nodiscard]] bool has_branches(const KernelBtf& kernel);
// What is told of one that has none.
inline constexpr std::string_view kNoBranches = "this kernel has no capabilities of sub-schedulers (scx_bpf_sub_grant)";
inline constexpr std::string_view kWithoutBranches =
    "leave [[below]] away, or boot a kernel that has them (docs/kernel-support.md says since when)";

class PreparedScheduler : public Scheduler {
public:
    // Finds the plugin or object that the configuration names and opens it. No code of it runs.
    static Result<std::unique_ptr<PreparedScheduler>> open(const Config& config);
    // The same for a file: a plugin library or a bare object.
    static Result<std::unique_ptr<PreparedScheduler>> open_file(const std::filesystem::path& path,
                                                                const std::string& struct_ops = {});
    // All of the steps below, up to a loaded object that only has to be attached. `hotplug_seq` is the kernel's count
    // of CPU hotplug events as of before the call: when it has moved, the kernel refuses to run what was loaded for
    // another topology (7.3.4, scx_enable).
    static Result<std::unique_ptr<PreparedScheduler>> prepare(const Config& config, const KernelBtf& kernel,
                                                              std::uint64_t hotplug_seq, PluginLogSink log);
    // The first of these steps: opens it and binds its options, so that identity() can tell it from what runs.
    static Result<std::unique_ptr<PreparedScheduler>> select(const Config& config, const KernelBtf& kernel);
    // The others.
    Result<> finish(const KernelBtf& kernel, std::uint64_t hotplug_seq, PluginLogSink log);

    ~PreparedScheduler() override; // may wait for the plugin, as Plugin does

    // From load() on.
    [[nodiscard]] const SchedulerFacts& facts() const override { return facts_; }
    void clear_exit_record() override { object_->clear_exit_record(); }
    Result<Attachment> attach() override { return object_->attach(); }
    Result<> attach_early_programs() override { return object_->attach_early_programs(); }
    Result<> attach_programs() override;
    void detach_programs() override { object_->detach_programs(); }
    [[nodiscard]] std::uint32_t exit_kind() const override { return object_->exit_kind(); }
    [[nodiscard]] std::optional<ExitReport> read_exit_record() const override { return object_->read_exit_record(); }
    Result<std::vector<std::int64_t>> read_statistics() override;
    Result<> before_detach() override;
    void after_attach(Attachment& link) override;
    void after_leaving() override;
    [[nodiscard]] bool can_hang() const override;
    [[nodiscard]] bool ticks() const override;
    bool begin_tick() override;
    [[nodiscard]] int news_fd() const override { return plugin_ == nullptr ? -1 : plugin_->fd(); }
    std::vector<SchedulerNews> news() override;
    [[nodiscard]] std::optional<PluginHang> hang() const override;

    // Binds the options, and what is to be done beside them. `kernel` may be null where there is none to ask. notes()
    // says what was tolerated, here and below.
    Result<> bind_options(const Config& config, const KernelBtf* kernel);
    // Whether it can run below another scheduler, in a kernel that can have that; `kernel` as above. Of a branch's
    // configuration; of any other it asks nothing. kUnsupported, kConfig.
    Result<> check_branch(const Config& config, const KernelBtf* kernel) const;
    // Sets the place that the configuration gives it: the cgroup's id. kConfig: there is no such cgroup now.
    Result<> take_place(const Config& config);
    // Others can be attached below it.
    [[nodiscard]] bool takes_branches() const;
    // Fits the object to the kernel.
    Result<> fit(const KernelBtf& kernel);
    // Loads the plugin's library, if there is one, and lets it check the options.
    Result<> configure(PluginLogSink log);
    // Loads the object into the kernel: maps made, programs verified. Then the plugin may fill its maps.
    Result<> load();
    // Has the kernel make ready what only the attach would need otherwise. A failure is a note.
    void commit(const KernelBtf& kernel);

    [[nodiscard]] SchedulerObject& object() { return *object_; }
    [[nodiscard]] const SchedulerObject& object() const { return *object_; }
    // nullptr for a bare object, and before configure().
    [[nodiscard]] Plugin* plugin() { return plugin_.get(); }
    [[nodiscard]] const Plugin* plugin() const { return plugin_.get(); }
    // nullopt for a bare object.
    [[nodiscard]] const std::optional<PluginInfo>& plugin_info() const { return plugin_info_; }
    [[nodiscard]] const std::filesystem::path& path() const { return facts_.file; }
    [[nodiscard]] const Binding& binding() const { return binding_; }
    [[nodiscard]] const ObjectSetup& setup() const { return setup_; }
    // What the configuration does beside the options, sizes included: a key and a value for each.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> setup_texts() const;
    [[nodiscard]] const std::vector<std::string>& notes() const { return facts_.notes; }

private:
    PreparedScheduler() = default;
    static Result<std::unique_ptr<PreparedScheduler>> from_plugin(PluginFile file);
    static Result<std::unique_ptr<PreparedScheduler>> from_object(const std::filesystem::path& path,
                                                                  const std::string& struct_ops);

    SchedulerFacts facts_;
    std::optional<PluginInfo> plugin_info_;
    std::optional<PluginFile> file_; // until the library is loaded
    MachineFacts machine_;
    std::vector<std::pair<std::string, std::string>> sizes_;
    Binding binding_;
    ObjectSetup setup_;
    std::unique_ptr<Plugin> plugin_;
    std::shared_ptr<SchedulerObject> object_;    // with the plugin, which keeps it for longer only when it hangs
    std::optional<StatisticsReader> statistics_; // of the object, which goes after it
};

} // namespace scxhost
