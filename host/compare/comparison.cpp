// SPDX-License-Identifier: GPL-2.0-only
#include "host/compare/comparison.hpp"

#include "host/base/error_json.hpp"
#include "host/measure/measured_run.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <ranges>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;

std::optional<double> number_in(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '+'))
        text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() ? std::optional(value) : std::nullopt;
}

// The last place that matches, line by line: of it the first group, or all of it.
Result<Figure> find_metric(const std::regex& metric, const std::string& metric_text, const std::string& output) {
    std::optional<double> found;
    for (const auto line : output | std::views::split('\n')) {
        const std::string text(line.begin(), line.end());
        for (std::sregex_iterator match(text.begin(), text.end(), metric), end; match != end; ++match)
            found = number_in((*match)[match->size() > 1 ? 1 : 0].str());
    }
    if (!found)
        return fail(
            Error{.kind = ErrorKind::kUsage,
                  .what = fmt::format("the workload printed no number where --metric {} looks for one", metric_text),
                  .hint = "the number is what the first pair of parentheses matches, or else the whole match",
                  .detail = output.substr(output.size() - std::min<std::size_t>(output.size(), 2000))});
    return Figure{.name = metric_text, .unit = "", .better = Better::kUnknown, .value = *found};
}

// One run with all that belongs to it; nullopt: `stop` came.
Result<std::optional<std::vector<Figure>>> run_under(const ComparisonPlan& plan, const Contender& contender,
                                                     ComparedHost& host, const WakeupTracer* tracer,
                                                     const EventFd& stop) {
    const ComparedHost::Installed installed = SCXHOST_TRY(host.install(contender));
    std::optional<WakeupCounts> before;
    if (tracer != nullptr)
        before = SCXHOST_TRY(tracer->read());
    Result<MeasuredRun> run = run_measured(plan.command, stop);
    std::optional<WakeupCounts> after;
    if (tracer != nullptr)
        after = SCXHOST_TRY(tracer->read());
    if (run && run->stopped)
        return std::nullopt;
    // An ejection explains a workload that failed, not the other way round.
    SCXHOST_TRY(host.check_runs(installed));
    if (!run)
        return fail(std::move(run).error());
    std::vector<Figure> figures = SCXHOST_TRY(figures_of_output(plan, run->output));
    std::ranges::move(run->figures, std::back_inserter(figures));
    if (before && after)
        std::ranges::move(figures_between(*before, *after), std::back_inserter(figures));
    return figures;
}

Verdict verdict_of(Better better, double own, double first, double p) {
    if (p >= kSignificance)
        return Verdict::kNoDifference;
    if (better == Better::kUnknown || own == first)
        return Verdict::kDiffers;
    return (own < first) == (better == Better::kLower) ? Verdict::kBetter : Verdict::kWorse;
}

void compare_with_first(ComparedFigure& figure) {
    const ComparedFigure::Of& first = figure.of.front();
    for (ComparedFigure::Of& one : figure.of) {
        one.spread = spread_of(one.samples);
        if (&one == &first || one.samples.empty() || first.samples.empty())
            continue;
        if (first.spread.median != 0)
            one.ratio = one.spread.median / first.spread.median;
        one.p = mann_whitney_p(one.samples, first.samples);
        one.verdict = verdict_of(figure.better, one.spread.median, first.spread.median, *one.p);
    }
}

nlohmann::json to_json(const ComparedFigure& figure, const std::vector<Contender>& contenders) {
    nlohmann::json schedulers = nlohmann::json::array();
    for (std::size_t i = 0; i < contenders.size(); ++i) {
        const ComparedFigure::Of& one = figure.of[i];
        nlohmann::json entry = {{"scheduler", contenders[i].label}, {"samples", one.samples}};
        if (!one.samples.empty()) {
            entry["median"] = one.spread.median;
            entry["lower_quartile"] = one.spread.lower;
            entry["upper_quartile"] = one.spread.upper;
        }
        if (one.ratio)
            entry["ratio"] = *one.ratio;
        if (one.p)
            entry["p"] = *one.p;
        if (one.verdict != Verdict::kNone)
            entry["verdict"] = to_string(one.verdict);
        schedulers.push_back(std::move(entry));
    }
    return {{"name", figure.name},
            {"unit", figure.unit},
            {"better", to_string(figure.better)},
            {"schedulers", std::move(schedulers)}};
}

} // namespace

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
    case Verdict::kNoDifference:
        return "no difference seen";
    case Verdict::kBetter:
        return "better";
    case Verdict::kWorse:
        return "worse";
    case Verdict::kDiffers:
        return "differs";
    case Verdict::kNone:
        break;
    }
    return "";
}

Result<std::vector<Figure>> figures_of_output(const ComparisonPlan& plan, const std::string& output) {
    std::vector<Figure> figures;
    if (plan.prints_figures)
        figures = SCXHOST_TRY(parse_figures(output));
    if (plan.metric)
        figures.push_back(SCXHOST_TRY(find_metric(*plan.metric, plan.metric_text, output)));
    return figures;
}

Result<bool> try_workload(const ComparisonPlan& plan, const EventFd& stop) {
    if (plan.prints_figures)
        return true;
    const MeasuredRun run = SCXHOST_TRY(run_measured(plan.command, stop));
    if (run.stopped)
        return false;
    SCXHOST_TRY(figures_of_output(plan, run.output));
    return true;
}

Result<Comparison> compare(const ComparisonPlan& plan, ComparedHost& host, const WakeupTracer* tracer,
                           const EventFd& stop, ComparisonListener& listener) {
    Comparison comparison;
    const std::size_t runs = plan.rounds * plan.contenders.size();
    const Clock::time_point start = Clock::now();
    for (std::size_t round = 0; round < plan.rounds; ++round)
        for (const std::size_t turn : order_of_round(round, plan.contenders.size())) {
            const Contender& contender = plan.contenders[turn];
            const std::size_t done = comparison.runs.size();
            std::optional<std::chrono::nanoseconds> left;
            if (done > 0)
                left = (Clock::now() - start) / done * (runs - done);
            listener.on_run(round, contender, done, runs, left);
            auto result = run_under(plan, contender, host, tracer, stop);
            std::optional<std::vector<Figure>> figures;
            if (result)
                figures = *std::move(result);
            if ((result && !figures) || stop.wait(Clock::now())) {
                comparison.interrupted = true;
                return comparison;
            }
            ComparisonRun run{.round = round, .contender = turn, .figures = {}, .failure = {}};
            if (figures)
                run.figures = *std::move(figures);
            else {
                SCXHOST_TRY(host.check_loan());
                listener.on_void(round, contender, result.error());
                run.failure = std::move(result).error();
            }
            comparison.runs.push_back(std::move(run));
        }
    return comparison;
}

std::vector<ComparedFigure> sum_up(const Comparison& comparison, std::size_t contenders) {
    std::vector<ComparedFigure> figures;
    for (const ComparisonRun& run : comparison.runs)
        for (const Figure& one : run.figures) {
            auto found = std::ranges::find(figures, one.name, &ComparedFigure::name);
            if (found == figures.end()) {
                figures.push_back({.name = one.name,
                                   .unit = one.unit,
                                   .better = one.better,
                                   .of = std::vector<ComparedFigure::Of>(contenders)});
                found = std::prev(figures.end());
            }
            found->of[run.contender].samples.push_back(one.value);
        }
    for (ComparedFigure& figure : figures)
        compare_with_first(figure);
    return figures;
}

nlohmann::json to_json(const ComparisonPlan& plan, const Comparison& comparison,
                       const std::vector<ComparedFigure>& figures, const std::string& kernel_release) {
    nlohmann::json schedulers = nlohmann::json::array();
    for (const Contender& contender : plan.contenders)
        schedulers.push_back(contender.label);
    nlohmann::json runs = nlohmann::json::array();
    for (const ComparisonRun& run : comparison.runs) {
        nlohmann::json entry = {{"round", run.round + 1}, {"scheduler", plan.contenders[run.contender].label}};
        if (run.failure)
            entry["error"] = to_json(*run.failure);
        else
            for (const Figure& figure : run.figures)
                entry["figures"][figure.name] = figure.value;
        runs.push_back(std::move(entry));
    }
    nlohmann::json compared = nlohmann::json::array();
    for (const ComparedFigure& figure : figures)
        compared.push_back(to_json(figure, plan.contenders));
    return {{"kernel", kernel_release},
            {"workload", plan.workload},
            {"rounds", plan.rounds},
            {"schedulers", std::move(schedulers)},
            {"test", {{"name", "Mann-Whitney U, two-sided, exact"}, {"significance", kSignificance}}},
            {"interrupted", comparison.interrupted},
            {"runs", std::move(runs)},
            {"figures", std::move(compared)}};
}

} // namespace scxhost
