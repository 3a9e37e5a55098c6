// SPDX-License-Identifier: GPL-2.0-only
//
// Live statistics as people read them: on a terminal a table that is rewritten in place, elsewhere one line a sample.
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
    StatisticsView(const std::vector<StatisticDeclaration>& statistics, bool in_place)
        : statistics_(statistics)
        , in_place_(in_place) {}

    // Per second, since the remembered sample, of counters; 0 for gauges and before the first sample.
    [[nodiscard]] std::vector<double> rates(const Sample& sample) const;
    // Text for one sample. On a terminal it starts by moving over the table before it.
    [[nodiscard]] std::string render(const Sample& sample);
    // Makes `sample` the base of the next rates.
    void remember(const Sample& sample) { previous_ = sample; }

private:
    [[nodiscard]] std::string line(const Sample& sample) const;
    [[nodiscard]] std::string table(const Sample& sample) const;

    const std::vector<StatisticDeclaration>& statistics_;
    bool in_place_;
    std::optional<Sample> previous_;
    std::size_t lines_on_screen_ = 0;
};

} // namespace scxhost
