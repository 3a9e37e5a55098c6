// SPDX-License-Identifier: GPL-2.0-only
//
// Prepares schedulers on the worker, beside whatever runs, and ends them there: verifying takes seconds, closing an
// object waits for the kernel, and a plugin may take its time at both. The one place where the kinds of sources differ.
#pragma once

#include "host/base/background_worker.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/config/config.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/ops_layout.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "host/supervisor/program_scheduler.hpp"
#include "host/supervisor/scheduler.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

// What people call the configuration's scheduler before it has been opened: the plugin's name or the object's file.
[[nodiscard]] std::string source_name(const Config& config);

// The file that it comes from, as far as it can be told before it is opened, and the most of it that is read.
struct SourceFile {
    std::filesystem::path path;
    std::size_t limit = 0;
};
[[nodiscard]] SourceFile source_file(const Config& config);

// Whether two schedulers are the same file, with the same options, for the same place.
[[nodiscard]] bool is_same_scheduler(const SchedulerFacts& one, const SchedulerFacts& other);

// A line for who checks a configuration, when the kernel's watchdog may find a stall only after probation has ended.
// nullopt: it does not, or there is no probation.
[[nodiscard]] std::optional<std::string> note_late_watchdog(const SchedulerFacts& facts,
                                                            std::chrono::nanoseconds probation);

class SchedulerPool {
public:
    struct Order {
        Config config;
        std::optional<SchedulerFacts> unless = {}; // nothing is loaded when it would be this one once more
        bool only_below_cgroup = false;            // refuse one that would run the machine
    };
    struct Prepared {
        Result<std::unique_ptr<Scheduler>> scheduler; // nullptr: it would be Order::unless once more
        std::uint64_t hotplug_seq = 0;                // as of before it was loaded
        std::chrono::nanoseconds time{};
    };

    // The processes of one that was disposed of have ended: the last that can be asked of it.
    using EndedSink = std::function<void(Scheduler& ended)>;

    // All must outlive the pool. `log` is called from threads of plugins, `on_ended`, which may be empty, on the
    // loop's.
    SchedulerPool(EventLoop& loop, BackgroundWorker& worker, const KernelBtf& kernel, const SchedExtProbe& probe,
                  PluginLogSink log, EndedSink on_ended = {});
    // Ends the processes of programs, for which it may wait a few seconds.
    ~SchedulerPool();

    // `done` comes on the loop's thread. A program takes its own time: what was asked for later may come before.
    void prepare(Order order, std::function<void(Prepared)> done);
    // Prepares it up to the verifier and ends it again. `done` gets its notes.
    void check(Config config, std::function<void(Result<std::vector<std::string>>)> done);
    // Takes nullptr too.
    void dispose(std::unique_ptr<Scheduler> scheduler);

    // Calls of prepare() that are not done.
    [[nodiscard]] std::size_t under_way() const { return under_way_; }
    // Processes of programs that were disposed of are still on their way out.
    [[nodiscard]] bool is_ending() const { return !ending_.empty(); }
    // What is still to be prepared is not begun any more: it would only keep the host waiting that ends.
    void end() { ended_ = true; }

private:
    struct Starting; // a program's process, on its way to its attach
    Prepared load(const Order& order);
    void start_program(const Order& order, Result<ProgramFile> file, std::function<void(Prepared)> done);
    void program_held(const Starting* starting, Result<> held);
    void destroy_ended(Scheduler* scheduler);
    Result<std::unique_ptr<Scheduler>> checked(const Order& order, Result<std::unique_ptr<Scheduler>> scheduler);

    EventLoop& loop_;
    BackgroundWorker& worker_;
    const KernelBtf& kernel_;
    const SchedExtProbe& probe_;
    PluginLogSink log_;
    EndedSink on_ended_;
    std::size_t under_way_ = 0;
    std::atomic<bool> ended_ = false; // read by the worker
    std::vector<OpsLayout> layouts_;
    std::vector<std::unique_ptr<Starting>> starting_;
    std::vector<std::unique_ptr<Scheduler>> ending_; // their processes are about to
};

} // namespace scxhost
