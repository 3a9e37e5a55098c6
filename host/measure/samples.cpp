// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/samples.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace scxhost {
namespace {

double quantile_of_sorted(const Samples& sorted, double share) {
    const double place = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

// Twice the rank of each sample, from 2 on: whole numbers even for equal samples, which share the mean of their ranks.
std::vector<std::uint32_t> doubled_ranks(std::span<const double> samples) {
    std::vector<std::size_t> order(samples.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](std::size_t i) { return samples[i]; });
    std::vector<std::uint32_t> ranks(samples.size());
    for (std::size_t begin = 0; begin < order.size();) {
        std::size_t end = begin;
        while (end < order.size() && samples[order[end]] == samples[order[begin]])
            ++end;
        for (std::size_t i = begin; i < end; ++i)
            ranks[order[i]] = static_cast<std::uint32_t>(begin + 1 + end);
        begin = end;
    }
    return ranks;
}

} // namespace

double percentile(Samples samples, double share) {
    if (samples.empty())
        return 0;
    std::ranges::sort(samples);
    const double rank = std::ceil(share * static_cast<double>(samples.size()));
    const auto at = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
    return samples[std::min(at, samples.size() - 1)];
}

Spread spread_of(Samples samples) {
    if (samples.empty())
        return {};
    std::ranges::sort(samples);
    return {.median = quantile_of_sorted(samples, 0.5),
            .lower = quantile_of_sorted(samples, 0.25),
            .upper = quantile_of_sorted(samples, 0.75)};
}

double mann_whitney_p(std::span<const double> first, std::span<const double> second) {
    if (first.empty() || second.empty())
        return 1;
    Samples all(first.begin(), first.end());
    all.insert(all.end(), second.begin(), second.end());
    const std::vector<std::uint32_t> ranks = doubled_ranks(all);
    const std::size_t chosen = first.size();
    const std::uint32_t total = std::accumulate(ranks.begin(), ranks.end(), 0U);

    // ways[k][s]: how many ways there are to choose k of the ranks seen so far with the sum s.
    std::vector<std::vector<double>> ways(chosen + 1, std::vector<double>(total + 1, 0.0));
    ways[0][0] = 1;
    std::uint32_t seen = 0;
    for (const std::uint32_t rank : ranks) {
        seen += rank;
        for (std::size_t k = chosen; k >= 1; --k)
            for (std::uint32_t sum = seen; sum >= rank; --sum)
                ways[k][sum] += ways[k - 1][sum - rank];
    }
    // Distances from the middle, times the number of samples so that they stay whole.
    const auto count = static_cast<std::int64_t>(all.size());
    const std::int64_t middle = static_cast<std::int64_t>(total) * static_cast<std::int64_t>(chosen);
    const std::int64_t sum_of_first = std::accumulate(ranks.begin(), ranks.begin() + first.size(), std::int64_t{0});
    const std::int64_t distance = std::abs(sum_of_first * count - middle);
    double as_far = 0;
    double of_all = 0;
    for (std::uint32_t sum = 0; sum <= total; ++sum) {
        of_all += ways[chosen][sum];
        if (std::abs(static_cast<std::int64_t>(sum) * count - middle) >= distance)
            as_far += ways[chosen][sum];
    }
    return as_far / of_all;
}

double least_mann_whitney_p(std::size_t first, std::size_t second) {
    Samples low(first);
    Samples high(second);
    std::iota(low.begin(), low.end(), 0.0);
    std::iota(high.begin(), high.end(), static_cast<double>(first));
    return mann_whitney_p(low, high);
}

} // namespace scxhost
