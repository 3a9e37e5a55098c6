// SPDX-License-Identifier: GPL-2.0-only
//
// Writes incident records (incidents.hpp) on the worker: what is known when a scheduler fails is put together at once,
// the disk and the kernel's log are waited for elsewhere.
#pragma once

#include "host/base/background_worker.hpp"
#include "host/base/result.hpp"
#include "host/config/config.hpp"
#include "host/supervisor/run_statistics.hpp"
#include "host/supervisor/scheduler.hpp"

#include <nlohmann/json_fwd.hpp>
#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

class IncidentRecorder {
public:
    // `written` hears of each record, on the loop's thread: its path, or why there is none. `worker` must outlive the
    // recorder.
    IncidentRecorder(BackgroundWorker& worker, std::function<void(const Result<std::string>& path)> written)
        : worker_(worker)
        , written_(std::move(written)) {}

    // `record` holds what happened; the rest is added: who it was, its options, `statistics` of it, kernel and host.
    // Returns the record's path, which is empty until it is written, and stays so when it cannot be.
    std::shared_ptr<const std::string> record(const Scheduler& scheduler, const Config& config,
                                              const std::optional<StatisticsSample>& statistics, nlohmann::json record);

    // The process of a scheduler that has a record has ended: how, and what it said until then, goes into that record
    // once it is written. Without a record nothing is done. When that fails, `written` hears why.
    void add_end(const Scheduler& scheduler, const ProcessEnd& end);

    // A process that has a record has not ended yet: there is more to be told of it.
    [[nodiscard]] bool awaits_an_end() const { return !of_processes_.empty(); }

    // Calls back on the loop's thread when every record that was begun is written, or could not be: at once, if none
    // is under way.
    void when_written(std::function<void()> callback);

private:
    struct Place {
        Config::Incidents of;
        std::shared_ptr<const std::string> path;
    };
    void finished(const Result<std::string>& path, std::string& written_to);

    BackgroundWorker& worker_;
    std::function<void(const Result<std::string>& path)> written_;
    std::size_t under_way_ = 0;
    std::vector<std::function<void()>> waiting_;
    std::map<pid_t, Place> of_processes_; // that have not ended yet
};

} // namespace scxhost
