// SPDX-License-Identifier: GPL-2.0-only
//
// The statistics of one run of a scheduler, from its attach to its leaving. Values, their names, and the run that they
// belong to are one thing: numbers of one scheduler are never read as another's, nor is a rate taken between two runs.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/declarations.hpp"
#include "host/bpf/statistics.hpp"
#include "host/supervisor/scheduler.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

struct StatisticsSample {
    std::uint64_t run = 0; // counts the runs of this host, from 1; 0: it was not attached
    std::string title;     // of the scheduler
    std::shared_ptr<const std::vector<StatisticDeclaration>> declared;
    Sample sample; // values, as many as are declared
};

// What a scheduler says now.
[[nodiscard]] Result<StatisticsSample> take_sample(Scheduler& scheduler, std::uint64_t run,
                                                   std::chrono::nanoseconds since_start);

// Per second, of the counter at `index`. nullopt for a gauge, without an earlier sample of the same run, and when the
// counter has gone back.
[[nodiscard]] std::optional<double> rate_since(const StatisticsSample& now, const StatisticsSample* earlier,
                                               std::size_t index);

// The samples that a run needs to remember: the latest, and the one before as the base of rates.
class RunStatistics {
public:
    void remember(StatisticsSample sample) {
        previous_ = std::move(latest_);
        latest_ = std::move(sample);
    }
    [[nodiscard]] const std::optional<StatisticsSample>& latest() const { return latest_; }
    // The base for a reading that is taken now; nullptr: there is none.
    [[nodiscard]] const StatisticsSample* base() const {
        if (previous_)
            return &*previous_;
        return latest_ ? &*latest_ : nullptr;
    }

private:
    std::optional<StatisticsSample> latest_;
    std::optional<StatisticsSample> previous_;
};

} // namespace scxhost
