// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/incident_recorder.hpp"

#include "host/kernel/kernel_log.hpp"
#include "host/kernel/kernel_release.hpp"
#include "host/supervisor/incidents.hpp"
#include "host/supervisor/reports.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <utility>

namespace scxhost {
namespace {

// The end of the kernel's log that goes into a record.
constexpr std::size_t kLogBytes = 64U << 10U;

} // namespace

std::shared_ptr<const std::string> IncidentRecorder::record(const Scheduler& scheduler, const Config& config,
                                                            const std::optional<StatisticsSample>& statistics,
                                                            nlohmann::json record) {
    const SchedulerFacts& facts = scheduler.facts();
    nlohmann::json values = nlohmann::json::object();
    if (statistics)
        for (std::size_t i = 0; i < statistics->declared->size(); ++i)
            values[(*statistics->declared)[i].name] = statistics->sample.values[i];
    record.update({{"scheduler", facts.name},
                   {"file", facts.file.string()},
                   {"build_id", facts.build_id},
                   {"config", or_null(config.name)},
                   {"options", options_json(facts)},
                   {"statistics", std::move(values)},
                   {"kernel", kernel_release()},
                   {"version", SCXHOST_VERSION},
                   {"pid", ::getpid()}});
    const auto written_to = std::make_shared<std::string>();
    if (const std::optional<SchedulerProcess> process = scheduler.process()) {
        record["process"] = to_json(*process);
        record["output"] = process->output;
        of_processes_.insert_or_assign(process->pid, Place{.of = config.incidents, .path = written_to});
    }
    ++under_way_;
    worker_.submit([this, written_to, folder = config.incidents.dir, limit = config.incidents.limit,
                    record = std::move(record)]() mutable {
        if (const Result<std::string> log = kernel_log_tail(kLogBytes))
            record["kernel_log"] = *log;
        Result<std::string> path = IncidentStore(folder, limit).write(std::move(record));
        return BackgroundWorker::Completion(
            [this, written_to, path = std::move(path)] { finished(path, *written_to); });
    });
    return written_to;
}

void IncidentRecorder::add_end(const Scheduler& scheduler, const ProcessEnd& end) {
    const SchedulerProcess process = scheduler.process().value_or(SchedulerProcess{});
    auto found = of_processes_.extract(process.pid);
    if (found.empty())
        return;
    when_written([this, place = std::move(found.mapped()),
                  fields = nlohmann::json{{"process", {{"end", end.how}}}, {"output", process.output}}] {
        if (place.path->empty())
            return;
        worker_.submit([this, place, fields] {
            Result<> amended = IncidentStore(place.of.dir, place.of.limit).amend(*place.path, fields);
            return BackgroundWorker::Completion([this, amended = std::move(amended)] {
                if (!amended)
                    written_(fail(amended.error()));
            });
        });
    });
}

void IncidentRecorder::finished(const Result<std::string>& path, std::string& written_to) {
    --under_way_;
    if (path)
        written_to = *path;
    written_(path);
    if (under_way_ == 0)
        for (const auto& callback : std::exchange(waiting_, {}))
            callback();
}

void IncidentRecorder::when_written(std::function<void()> callback) {
    if (under_way_ == 0)
        return callback();
    waiting_.push_back(std::move(callback));
}

} // namespace scxhost
