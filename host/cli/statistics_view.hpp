// SPDX-License-Identifier: GPL-2.0-only
//
// Live statistics as people read them: a table with all of them, or a line with the few that say most.
#pragma once

#include "host/bpf/declarations.hpp"
#include "host/bpf/statistics.hpp"

#include <optional>
#include <string>
#include <vector>

namespace scxhost {

class StatisticsView {
public:
    // `statistics` must outlive the view.
    StatisticsView(const std::vector<StatisticDeclaration>& statistics, bool as_table)
        : statistics_(statistics)
        , as_table_(as_table) {}

    // Per second, since the remembered sample, of counters; 0 for gauges and before the first sample.
    [[nodiscard]] std::vector<double> rates(const Sample& sample) const;
    // Text for one sample, whole lines. The line has what the object declares as SCX_KEY; of an object that declares
    // none, the first kUndeclared.
    static constexpr std::size_t kUndeclared = 6;
    [[nodiscard]] std::string render(const Sample& sample) const;
    // Makes `sample` the base of the next rates.
    void remember(const Sample& sample) { previous_ = sample; }

private:
    [[nodiscard]] std::vector<std::size_t> chosen() const;
    [[nodiscard]] std::string line(const Sample& sample) const;
    [[nodiscard]] std::string table(const Sample& sample) const;

    const std::vector<StatisticDeclaration>& statistics_;
    bool as_table_;
    std::optional<Sample> previous_;
};

} // namespace scxhost
