// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/scheduler_pool.hpp"

#include "host/base/units.hpp"
#include "host/kernel/cgroup.hpp"
#include "host/supervisor/prepared_scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

namespace scxhost {
namespace {

// nullptr: it would be `unless` once more.
Result<std::unique_ptr<Scheduler>> load_object(const Config& config, const SchedulerFacts* unless,
                                               const KernelBtf& kernel, std::uint64_t hotplug_seq,
                                               const PluginLogSink& log) try {
    std::unique_ptr<PreparedScheduler> scheduler = SCXHOST_TRY(PreparedScheduler::select(config, kernel));
    if (unless != nullptr && is_same_scheduler(scheduler->facts(), *unless))
        return nullptr;
    SCXHOST_TRY(scheduler->finish(kernel, hotplug_seq, log));
    return scheduler;
} catch (const std::bad_alloc&) {
    // What runs needs no more than it has; only what would have come in its place is lost.
    return fail(ErrorKind::kInternal, "out of memory while preparing the scheduler",
                "raise the memory limit of the host, or choose options that need less");
} catch (const std::exception& exception) {
    return fail(ErrorKind::kInternal, fmt::format("preparing the scheduler failed: {}", exception.what()));
}

} // namespace

std::string source_name(const Config& config) {
    const Config::Scheduler& source = config.scheduler;
    if (!source.program.empty())
        return config.program.name.empty() ? source.program.filename().string() : config.program.name;
    return source.object.empty() ? source.plugin : source.object.filename().string();
}

SourceFile source_file(const Config& config) {
    if (!config.scheduler.program.empty())
        return {config.scheduler.program, ExecutableFile::kMaxBytes};
    return {scheduler_file(config), kMaxObjectBytes};
}

bool is_same_scheduler(const SchedulerFacts& one, const SchedulerFacts& other) {
    // What a program calls its scheduler is known only when it has been started.
    const bool same_ops = one.ops_name.empty() || other.ops_name.empty() || one.ops_name == other.ops_name;
    return one.file_digest == other.file_digest && one.build_id == other.build_id && same_ops &&
           one.options == other.options && one.sub_cgroup == other.sub_cgroup;
}

std::optional<std::string> note_late_watchdog(const SchedulerFacts& facts, std::chrono::nanoseconds probation) {
    constexpr std::chrono::milliseconds kKernelsOwn = std::chrono::seconds(30); // SCX_WATCHDOG_MAX_TIMEOUT
    // It looks each half of its timeout.
    const std::chrono::milliseconds at_most = facts.watchdog_timeout.value_or(kKernelsOwn) * 3 / 2;
    if (probation == probation.zero() || at_most <= probation)
        return std::nullopt;
    return fmt::format(
        "the kernel takes up to {} to see that a task is not run (timeout_ms), and swap.probation is {}: "
        "the scheduler may count as good by then",
        format_duration(at_most), format_duration(probation));
}

struct SchedulerPool::Starting {
    Order order;
    std::function<void(Prepared)> done;
    Prepared result;
    std::chrono::steady_clock::time_point begin;
    std::unique_ptr<ProgramScheduler> scheduler;
};

SchedulerPool::SchedulerPool(EventLoop& loop, BackgroundWorker& worker, const KernelBtf& kernel,
                             const SchedExtProbe& probe, PluginLogSink log, EndedSink on_ended)
    : loop_(loop)
    , worker_(worker)
    , kernel_(kernel)
    , probe_(probe)
    , log_(std::move(log))
    , on_ended_(std::move(on_ended))
    , layouts_(ops_layouts(kernel)) {}

SchedulerPool::~SchedulerPool() = default;

Result<std::unique_ptr<Scheduler>> SchedulerPool::checked(const Order& order,
                                                          Result<std::unique_ptr<Scheduler>> scheduler) {
    if (scheduler && *scheduler != nullptr && !order.config.branch.cgroup.empty() &&
        (*scheduler)->facts().sub_cgroup != find_cgroup(order.config.branch.cgroup).value_or(0)) {
        dispose(*std::move(scheduler));
        return fail(Error{.kind = ErrorKind::kConfig,
                          .what = fmt::format("'{}' would not run where the branch \"{}\" is",
                                              source_name(order.config), order.config.branch.name),
                          .hint = "a program says itself for which cgroup it is: give it the argument for that",
                          .where = order.config.where("scheduler.program")});
    }
    if (!order.only_below_cgroup || !scheduler || *scheduler == nullptr || (*scheduler)->facts().sub_cgroup != 0)
        return scheduler;
    dispose(*std::move(scheduler));
    return fail(ErrorKind::kConfig,
                fmt::format("'{}' would take the whole machine in place of a sub-scheduler", source_name(order.config)),
                "leave host.fallback empty here: the scheduler above takes the cgroup's tasks");
}

SchedulerPool::Prepared SchedulerPool::load(const Order& order) {
    const auto begin = std::chrono::steady_clock::now();
    Prepared result{.scheduler = nullptr, .hotplug_seq = probe_.hotplug_seq()};
    if (ended_)
        result.scheduler = fail(ErrorKind::kInternal, "the host is ending");
    else
        result.scheduler =
            load_object(order.config, order.unless ? &*order.unless : nullptr, kernel_, result.hotplug_seq, log_);
    result.time = std::chrono::steady_clock::now() - begin;
    return result;
}

void SchedulerPool::prepare(Order order, std::function<void(Prepared)> done) {
    ++under_way_;
    auto finish = [this, done = std::move(done)](Prepared prepared) {
        --under_way_;
        done(std::move(prepared));
    };
    worker_.submit([this, order = std::move(order), finish = std::move(finish)]() -> BackgroundWorker::Completion {
        if (!order.config.scheduler.program.empty()) {
            auto file = std::make_shared<Result<ProgramFile>>(read_program_file(order.config));
            return [this, order, finish, file] { start_program(order, std::move(*file), finish); };
        }
        auto prepared = std::make_shared<Prepared>(load(order));
        return [this, order, finish, prepared] {
            prepared->scheduler = checked(order, std::move(prepared->scheduler));
            finish(std::move(*prepared));
        };
    });
}

// On the loop's thread: the kernel ends the program's process with the thread that started it.
void SchedulerPool::start_program(const Order& order, Result<ProgramFile> file, std::function<void(Prepared)> done) {
    auto starting =
        std::make_unique<Starting>(Starting{.order = order,
                                            .done = {},
                                            .result = {.scheduler = nullptr, .hotplug_seq = probe_.hotplug_seq()},
                                            .begin = std::chrono::steady_clock::now(),
                                            .scheduler = nullptr});
    const auto refuse = [&](Error error) {
        starting->result.scheduler = fail(std::move(error));
        done(std::move(starting->result));
    };
    if (!file)
        return refuse(std::move(file).error());
    if (ended_)
        return refuse({.kind = ErrorKind::kInternal, .what = "the host is ending"});
    if (order.unless && is_same_scheduler(file->facts, *order.unless)) {
        starting->result.scheduler = nullptr;
        return done(std::move(starting->result));
    }
    Result<std::unique_ptr<ProgramScheduler>> scheduler =
        ProgramScheduler::start(loop_, *std::move(file), order.config, layouts_,
                                [this, raw = starting.get()](Result<> held) { program_held(raw, std::move(held)); });
    if (!scheduler)
        return refuse(std::move(scheduler).error());
    starting->scheduler = *std::move(scheduler);
    starting->done = std::move(done);
    starting_.push_back(std::move(starting));
}

void SchedulerPool::program_held(const Starting* starting, Result<> held) {
    const auto found = std::ranges::find(starting_, starting, &std::unique_ptr<Starting>::get);
    const std::unique_ptr<Starting> own = std::move(*found);
    starting_.erase(found);
    Prepared result = std::move(own->result);
    result.time = std::chrono::steady_clock::now() - own->begin;
    if (held) {
        result.scheduler = checked(own->order, std::move(own->scheduler));
    } else {
        result.scheduler = fail(std::move(held).error());
        dispose(std::move(own->scheduler));
    }
    own->done(std::move(result));
}

void SchedulerPool::check(Config config, std::function<void(Result<std::vector<std::string>>)> done) {
    const std::chrono::nanoseconds probation = config.swap.probation;
    prepare({.config = std::move(config)}, [this, probation, done = std::move(done)](Prepared prepared) {
        if (!prepared.scheduler)
            return done(fail(std::move(prepared.scheduler).error()));
        std::vector<std::string> notes = (*prepared.scheduler)->facts().notes;
        if (std::optional<std::string> late = note_late_watchdog((*prepared.scheduler)->facts(), probation))
            notes.push_back(*std::move(late));
        dispose(*std::move(prepared.scheduler));
        done(notes);
    });
}

void SchedulerPool::dispose(std::unique_ptr<Scheduler> scheduler) {
    if (scheduler == nullptr)
        return;
    ending_.push_back(std::move(scheduler));
    Scheduler* raw = ending_.back().get();
    if (raw->end([this, raw] { destroy_ended(raw); }))
        return;
    worker_.submit([own = std::move(ending_.back())]() mutable {
        own.reset();
        return BackgroundWorker::Completion();
    });
    ending_.pop_back();
}

// Not now: the call comes from within it.
void SchedulerPool::destroy_ended(Scheduler* scheduler) {
    if (on_ended_)
        on_ended_(*scheduler);
    const auto found = std::ranges::find(ending_, scheduler, &std::unique_ptr<Scheduler>::get);
    std::shared_ptr<Scheduler> own = std::move(*found);
    ending_.erase(found);
    worker_.submit([own = std::move(own)]() mutable {
        return BackgroundWorker::Completion([own = std::move(own)]() mutable { own.reset(); });
    });
}

} // namespace scxhost
