// SPDX-License-Identifier: GPL-2.0-only
//
// What can be said of a few measurements of the same thing: where they lie, how far they spread, and whether two groups
// of them differ by more than chance.
#pragma once

#include <span>
#include <vector>

namespace scxhost {

using Samples = std::vector<double>;

// The smallest sample that at least this share of all is not above (nearest rank); the largest one for 1. 0 of none.
[[nodiscard]] double percentile(Samples samples, double share);

struct Spread {
    double median = 0;
    double lower = 0; // first quartile
    double upper = 0; // third quartile
};
// Quartiles are interpolated between the neighbouring samples (type 7 of Hyndman and Fan, which R and NumPy have as
// their default). All 0 of none.
[[nodiscard]] Spread spread_of(Samples samples);

// Mann-Whitney U, two-sided: how likely two groups are at least as far apart as these when they only differ by chance.
// Exact, ties included: over all ways to choose the first group out of both, with the mean of their ranks for samples
// that are equal. 1 when one of the groups is empty. The groups are small: time grows with the fourth power.
[[nodiscard]] double mann_whitney_p(std::span<const double> first, std::span<const double> second);

// The least that mann_whitney_p() can give for groups of so many samples: above 0.05, nothing can be said at all.
[[nodiscard]] double least_mann_whitney_p(std::size_t first, std::size_t second);

// What is below it counts as a difference.
inline constexpr double kSignificance = 0.05;

} // namespace scxhost
