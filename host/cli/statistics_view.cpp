// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/statistics_view.hpp"

#include "host/cli/terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace scxhost {
namespace {

// Counters wrap around; the difference is right across it.
std::int64_t growth(std::int64_t now, std::int64_t before) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(before));
}

} // namespace

std::vector<double> StatisticsView::rates(const Sample& sample) const {
    std::vector<double> result(statistics_.size(), 0);
    const auto since = previous_ ? sample.since_start - previous_->since_start : sample.since_start;
    const double elapsed = std::chrono::duration<double>(since).count();
    for (std::size_t i = 0; i < statistics_.size() && elapsed > 0; ++i)
        if (statistics_[i].kind == StatisticKind::kCounter)
            result[i] = static_cast<double>(growth(sample.values[i], previous_ ? previous_->values[i] : 0)) / elapsed;
    return result;
}

std::vector<std::size_t> StatisticsView::chosen() const {
    std::vector<std::size_t> result;
    for (std::size_t i = 0; i < statistics_.size(); ++i)
        if (statistics_[i].key)
            result.push_back(i);
    const bool nothing_declared = result.empty();
    for (std::size_t i = 0; result.size() < std::min(statistics_.size(), kUndeclared) && nothing_declared; ++i)
        result.push_back(i);
    return result;
}

std::string StatisticsView::line(const Sample& sample) const {
    const std::vector<double> rate = rates(sample);
    std::string result = fmt::format("{:7.1f} s", std::chrono::duration<double>(sample.since_start).count());
    for (const std::size_t i : chosen()) {
        result += fmt::format("  {}={}", printable(statistics_[i].name), sample.values[i]);
        if (statistics_[i].kind == StatisticKind::kCounter && rate[i] >= 0)
            result += fmt::format(" ({})", format_rate(rate[i]));
    }
    return result + "\n";
}

std::string StatisticsView::table(const Sample& sample) const {
    const bool colour = wants_colour(STDOUT_FILENO);
    const std::vector<double> rate = rates(sample);
    std::vector<std::vector<std::string>> rows;
    rows.push_back({"statistic", "per second", "value", "unit", "meaning"});
    std::string group;
    for (std::size_t i = 0; i < statistics_.size(); ++i) {
        const StatisticDeclaration& statistic = statistics_[i];
        if (statistic.group != group) {
            group = statistic.group;
            rows.push_back({group});
        }
        rows.push_back(
            {(group.empty() ? "" : "  ") + statistic.name,
             statistic.kind == StatisticKind::kCounter && rate[i] >= 0 ? group_digits(std::llround(rate[i])) : "",
             group_digits(sample.values[i]), statistic.unit, statistic.help});
    }
    std::string text = printable(format_table(rows, {false, true, true}));
    const std::size_t head = text.find('\n');
    text = paint(text.substr(0, head), kBold, colour) + text.substr(head);
    return fmt::format("after {:.1f} s (Ctrl-C detaches)\n{}",
                       std::chrono::duration<double>(sample.since_start).count(), text);
}

std::string StatisticsView::render(const Sample& sample) const {
    if (statistics_.empty())
        return {};
    return as_table_ ? table(sample) : line(sample);
}

} // namespace scxhost
