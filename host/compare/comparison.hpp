// SPDX-License-Identifier: GPL-2.0-only
//
// Runs one workload under several schedulers in turn, round after round, and sums up what was measured.
#pragma once

#include "host/base/event_fd.hpp"
#include "host/base/result.hpp"
#include "host/compare/compared_host.hpp"
#include "host/compare/contender.hpp"
#include "host/measure/figure.hpp"
#include "host/measure/samples.hpp"
#include "host/measure/wakeup_tracer.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <regex>
#include <string>
#include <vector>

namespace scxhost {

struct ComparisonPlan {
    std::vector<Contender> contenders;
    std::vector<std::string> command; // of the workload
    std::string workload;             // as the user wrote it
    bool prints_figures = false;      // it is a built-in one
    std::optional<std::regex> metric; // finds the workload's own figure in its output
    std::string metric_text;          // as the user wrote it
    std::size_t rounds = 0;
};

// One run of the workload.
struct ComparisonRun {
    std::size_t round = 0;
    std::size_t contender = 0;
    std::vector<Figure> figures;  // empty: it is void
    std::optional<Error> failure; // why
};

struct Comparison {
    std::vector<ComparisonRun> runs; // in their order
    bool interrupted = false;
};

class ComparisonListener {
public:
    virtual ~ComparisonListener() = default;
    // Before a run; `left` is nullopt while nothing is known about how long one takes.
    virtual void on_run(std::size_t round, const Contender& contender, std::size_t done, std::size_t runs,
                        std::optional<std::chrono::nanoseconds> left) = 0;
    virtual void on_void(std::size_t round, const Contender& contender, const Error& why) = 0;
};

// The workload's figures: what it prints as one, and `metric`'s. kUsage: its output does not have them.
[[nodiscard]] Result<std::vector<Figure>> figures_of_output(const ComparisonPlan& plan, const std::string& output);

// Runs a workload of the user's own once, under whatever runs now, so that its mistakes are found, and caches filled,
// before anything is touched. Errors: as run_measured() and figures_of_output(). False: `stop` came.
[[nodiscard]] Result<bool> try_workload(const ComparisonPlan& plan, const EventFd& stop);

// A scheduler that fails makes its run void, and the comparison goes on; so does a workload that fails under one.
// Errors: the host is gone, or is no longer the comparison's (ComparedHost::check_loan()).
// `tracer`, which may be nullptr, has figures of its own.
[[nodiscard]] Result<Comparison> compare(const ComparisonPlan& plan, ComparedHost& host, const WakeupTracer* tracer,
                                         const EventFd& stop, ComparisonListener& listener);

enum class Verdict {
    kNone,         // the first one, which the others are compared with; or there are no figures
    kNoDifference, // chance alone makes such a difference too often (kSignificance)
    kBetter,
    kWorse,
    kDiffers, // and which way is better is not known
};
[[nodiscard]] std::string_view to_string(Verdict verdict);

// One figure of all schedulers.
struct ComparedFigure {
    struct Of {
        Samples samples; // of the rounds that count
        Spread spread;
        std::optional<double> ratio; // of the medians, to the first
        std::optional<double> p;     // of mann_whitney_p() with the first
        Verdict verdict = Verdict::kNone;
    };
    std::string name;
    std::string unit;
    Better better = Better::kUnknown;
    std::vector<Of> of; // by contender
};
[[nodiscard]] std::vector<ComparedFigure> sum_up(const Comparison& comparison, std::size_t contenders);

[[nodiscard]] nlohmann::json to_json(const ComparisonPlan& plan, const Comparison& comparison,
                                     const std::vector<ComparedFigure>& figures, const std::string& kernel_release);

} // namespace scxhost
