// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/compare.hpp"
#include "host/cli/terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace scxhost {
namespace {

std::string_view colour_of(Verdict verdict) {
    switch (verdict) {
    case Verdict::kBetter:
        return kGreen;
    case Verdict::kWorse:
        return kRed;
    case Verdict::kNoDifference:
        return kDim;
    case Verdict::kNone:
    case Verdict::kDiffers:
        break;
    }
    return kYellow;
}

std::string value_cell(const ComparedFigure::Of& one) {
    if (one.samples.empty())
        return "-";
    return fmt::format("{} ±{}", format_figure(one.spread.median),
                       format_figure((one.spread.upper - one.spread.lower) / 2));
}

std::string verdict_cell(const ComparedFigure::Of& one, bool colour) {
    if (one.verdict == Verdict::kNone)
        return "";
    const std::string ratio = one.ratio ? fmt::format("x{:.2f} ", *one.ratio) : "";
    return ratio + paint(to_string(one.verdict), colour_of(one.verdict), colour);
}

} // namespace

bool is_zero_everywhere(const ComparedFigure& figure) {
    return std::ranges::all_of(figure.of, [](const ComparedFigure::Of& one) {
        return std::ranges::all_of(one.samples, [](double sample) { return sample == 0; });
    });
}

std::string format_figure(double value) {
    if (value == 0)
        return "0";
    const double size = std::abs(value);
    if (size >= 100)
        return fmt::format("{:.0f}", value);
    if (size < 0.001)
        return fmt::format("{:.2g}", value);
    return fmt::format("{:.{}f}", value, size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

std::string comparison_table(const ComparisonPlan& plan, const std::vector<ComparedFigure>& figures, bool colour) {
    std::vector<std::vector<std::string>> rows(1, {""});
    std::vector<bool> right = {false};
    for (const Contender& contender : plan.contenders) {
        const bool first = rows[0].size() == 1;
        rows[0].push_back(paint(printable(contender.label), kBold, colour));
        right.push_back(true);
        if (first)
            continue;
        rows[0].emplace_back();
        right.push_back(false);
    }
    for (const ComparedFigure& figure : figures) {
        if (is_zero_everywhere(figure))
            continue;
        std::vector<std::string> row = {
            printable(figure.unit.empty() ? figure.name : fmt::format("{}, {}", figure.name, figure.unit))};
        for (std::size_t i = 0; i < figure.of.size(); ++i) {
            row.push_back(value_cell(figure.of[i]));
            if (i > 0)
                row.push_back(verdict_cell(figure.of[i], colour));
        }
        rows.push_back(std::move(row));
    }
    return format_table(rows, right);
}

} // namespace scxhost
