// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/run_statistics.hpp"

namespace scxhost {

Result<StatisticsSample> take_sample(Scheduler& scheduler, std::uint64_t run, std::chrono::nanoseconds since_start) {
    std::vector<std::int64_t> values = SCXHOST_TRY(scheduler.read_statistics());
    const SchedulerFacts& facts = scheduler.facts();
    if (values.size() != facts.statistics->size())
        return fail(ErrorKind::kInternal, "statistics of '" + facts.name + "': " + std::to_string(values.size()) +
                                              " values for " + std::to_string(facts.statistics->size()) + " names");
    return StatisticsSample{
        .run = run, .title = facts.title, .declared = facts.statistics, .sample = {since_start, std::move(values)}};
}

std::optional<double> rate_since(const StatisticsSample& now, const StatisticsSample* earlier, std::size_t index) {
    if (earlier == nullptr || earlier->run != now.run || earlier->declared != now.declared ||
        (*now.declared)[index].kind != StatisticKind::kCounter)
        return std::nullopt;
    const std::chrono::duration<double> time = now.sample.since_start - earlier->sample.since_start;
    const std::int64_t before = earlier->sample.values[index];
    const std::int64_t value = now.sample.values[index];
    if (time.count() <= 0 || value < before)
        return std::nullopt;
    return static_cast<double>(value - before) / time.count();
}

} // namespace scxhost
