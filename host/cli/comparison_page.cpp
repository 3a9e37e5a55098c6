// SPDX-License-Identifier: GPL-2.0-only
//
// The page of a comparison: one file that needs no network and runs no script. Words and numbers are HTML, which wraps
// on a narrow screen; only the dots are drawn (SVG), in units of percent of the width.
#include "host/cli/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace scxhost {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #d5dae0; --paper: #ffffff; --dot: #2f6fde;
        --good: #17803d; --bad: #c02b2b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #9aa5b1; --line: #3a424b; --paper: #14181d; --dot: #7aa7ff; --good: #5fd38a;
          --bad: #ff8a80; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
       font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .2rem; }
h2 small, p, .scale { color: var(--soft); font-weight: normal; }
p { margin: .2rem 0; }
.of { display: grid; gap: .1rem .8rem; padding: .35rem 0; border-top: 1px solid var(--line); }
.of b { font-weight: 600; overflow-wrap: anywhere; }
.of .text { font-size: .92rem; }
.of svg { width: 100%; height: 1.4rem; display: block; overflow: visible; }
.axis { stroke: var(--line); stroke-width: 1; }
.median { stroke: var(--ink); stroke-width: 2; }
.sample { fill: var(--dot); fill-opacity: .65; }
.scale { display: flex; justify-content: space-between; font-size: .85rem; }
.better { color: var(--good); } .worse { color: var(--bad); }
.void { color: var(--bad); }
@media (min-width: 40rem) {
  .of { grid-template-columns: 11rem 1fr 19rem; }
  .scale { margin: 0 19.8rem 0 11.8rem; }
}
)";

std::string escape(std::string_view text) {
    std::string result;
    for (const char c : text)
        switch (c) {
        case '<':
            result += "&lt;";
            break;
        case '>':
            result += "&gt;";
            break;
        case '&':
            result += "&amp;";
            break;
        case '"':
            result += "&quot;";
            break;
        default:
            result += c;
        }
    return result;
}

// Where the dots of all schedulers lie: from 0 unless that would push them all to one side.
struct Scale {
    double low = std::numeric_limits<double>::max();
    double high = std::numeric_limits<double>::lowest();

    explicit Scale(const ComparedFigure& figure) {
        for (const ComparedFigure::Of& one : figure.of)
            for (const double sample : one.samples) {
                low = std::min(low, sample);
                high = std::max(high, sample);
            }
        if (low >= 0 && low < high / 2)
            low = 0;
        if (high <= low)
            high = low + 1;
    }
    [[nodiscard]] double percent(double value) const { return 1 + 98 * (value - low) / (high - low); }
};

std::string dots(const ComparedFigure::Of& one, const Scale& scale) {
    std::string svg = R"(<svg aria-hidden="true"><line class="axis" x1="0" x2="100%" y1="50%" y2="50%"/>)";
    for (const double sample : one.samples)
        svg += fmt::format(R"(<circle class="sample" cx="{:.2f}%" cy="50%" r="5"/>)", scale.percent(sample));
    if (!one.samples.empty()) {
        const double at = scale.percent(one.spread.median);
        svg += fmt::format(R"(<line class="median" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="100%"/>)", at);
    }
    return svg + "</svg>";
}

std::string words(const ComparedFigure::Of& one) {
    if (one.samples.empty())
        return R"(<span class="void">no run counts</span>)";
    std::string text = fmt::format("{} ±{}", format_figure(one.spread.median),
                                   format_figure((one.spread.upper - one.spread.lower) / 2));
    if (one.ratio)
        text += fmt::format(" · ×{:.2f}", *one.ratio);
    if (one.verdict != Verdict::kNone)
        text += fmt::format(R"( · <span class="{}">{}</span>)",
                            one.verdict == Verdict::kBetter  ? "better"
                            : one.verdict == Verdict::kWorse ? "worse"
                                                             : "same",
                            to_string(one.verdict));
    if (one.p)
        text += fmt::format(" (p {:.2g})", *one.p);
    return text;
}

std::string section(const ComparisonPlan& plan, const ComparedFigure& figure) {
    const Scale scale(figure);
    const std::string_view better = to_string(figure.better);
    std::string html = fmt::format("<section><h2>{} <small>{}{}{}</small></h2>\n", escape(figure.name),
                                   escape(figure.unit), figure.unit.empty() || better.empty() ? "" : ", ",
                                   better.empty() ? "" : fmt::format("{} is better", better));
    for (std::size_t i = 0; i < figure.of.size(); ++i)
        html += fmt::format("<div class=\"of\"><b>{}</b>{}<span class=\"text\">{}</span></div>\n",
                            escape(plan.contenders[i].label), dots(figure.of[i], scale), words(figure.of[i]));
    return html + fmt::format("<div class=\"scale\"><span>{}</span><span>{}</span></div></section>\n",
                              format_figure(scale.low), format_figure(scale.high));
}

} // namespace

std::string comparison_page(const ComparisonPlan& plan, const Comparison& comparison,
                            const std::vector<ComparedFigure>& figures, const std::string& kernel_release,
                            const std::string& time) {
    std::string names;
    for (const Contender& contender : plan.contenders)
        names += (names.empty() ? "" : " · ") + escape(contender.label);
    std::string html =
        fmt::format("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                    "<title>{0}: {1}</title><style>{2}</style></head><body>\n"
                    "<h1>{0}</h1>\n<p>{1}</p>\n"
                    "<p>{3} rounds, Linux {4}, {5}, scxhost {6}</p>\n",
                    escape(plan.workload), names, kStyle, plan.rounds, escape(kernel_release), time, SCXHOST_VERSION);
    html += fmt::format("<p>Each dot is a run, the upright line the median; ± is half of the distance between the "
                        "quartiles, × the ratio to {}. Differences are those that the Mann-Whitney U test (two-sided, "
                        "exact) does not leave to chance: p below {}.</p>\n",
                        escape(plan.contenders[0].label), kSignificance);
    if (comparison.interrupted)
        html += "<p class=\"void\">The comparison was interrupted.</p>\n";
    for (const ComparisonRun& run : comparison.runs)
        if (run.failure)
            html += fmt::format("<p class=\"void\">Round {} of {} does not count: {}</p>\n", run.round + 1,
                                escape(plan.contenders[run.contender].label), escape(run.failure->what));
    for (const ComparedFigure& figure : figures)
        if (!is_zero_everywhere(figure))
            html += section(plan, figure);
    return html + "</body></html>\n";
}

} // namespace scxhost
