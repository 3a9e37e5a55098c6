// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/scheduler_pool.hpp"

#include "host/supervisor/prepared_scheduler.hpp"

#include <fmt/format.h>

#include <new>
#include <utility>

namespace scxhost {
namespace {

// nullptr: it would be `unless` once more.
Result<std::unique_ptr<Scheduler>> load(const Config& config, const SchedulerFacts* unless, const KernelBtf& kernel,
                                        std::uint64_t hotplug_seq, const PluginLogSink& log) try {
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
    return config.scheduler.object.empty() ? config.scheduler.plugin : config.scheduler.object.filename().string();
}

bool is_same_scheduler(const SchedulerFacts& one, const SchedulerFacts& other) {
    return one.file_digest == other.file_digest && one.build_id == other.build_id && one.ops_name == other.ops_name &&
           one.options == other.options && one.sub_cgroup == other.sub_cgroup;
}

SchedulerPool::Prepared SchedulerPool::run(const Order& order) {
    const auto begin = std::chrono::steady_clock::now();
    Prepared result{.scheduler = nullptr, .hotplug_seq = probe_.hotplug_seq()};
    if (ended_)
        result.scheduler = fail(ErrorKind::kInternal, "the host is ending");
    else
        result.scheduler =
            load(order.config, order.unless ? &*order.unless : nullptr, kernel_, result.hotplug_seq, log_);
    if (order.only_below_cgroup && result.scheduler && *result.scheduler &&
        (*result.scheduler)->facts().sub_cgroup == 0)
        result.scheduler = fail(
            ErrorKind::kConfig,
            fmt::format("'{}' would take the whole machine in place of a sub-scheduler", source_name(order.config)),
            "leave host.fallback empty here: the scheduler above takes the cgroup's tasks");
    result.time = std::chrono::steady_clock::now() - begin;
    return result;
}

void SchedulerPool::prepare(Order order, std::function<void(Prepared)> done) {
    ++under_way_;
    worker_.submit([this, order = std::move(order), done = std::move(done)] {
        auto prepared = std::make_shared<Prepared>(run(order));
        return BackgroundWorker::Completion([this, done, prepared] {
            --under_way_;
            done(std::move(*prepared));
        });
    });
}

void SchedulerPool::check(Config config, std::function<void(Result<std::vector<std::string>>)> done) {
    worker_.submit([this, order = Order{.config = std::move(config)}, done = std::move(done)] {
        const Prepared prepared = run(order);
        Result<std::vector<std::string>> answer = fail(ErrorKind::kInternal, "");
        if (prepared.scheduler)
            answer = (*prepared.scheduler)->facts().notes;
        else
            answer = fail(prepared.scheduler.error());
        return BackgroundWorker::Completion([done, answer = std::move(answer)] { done(answer); });
    });
}

void SchedulerPool::dispose(std::unique_ptr<Scheduler> scheduler) {
    if (scheduler == nullptr)
        return;
    worker_.submit([scheduler = std::move(scheduler)]() mutable {
        scheduler.reset();
        return BackgroundWorker::Completion();
    });
}

} // namespace scxhost
