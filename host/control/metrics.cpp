// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/metrics.hpp"

#include "host/base/json_fields.hpp"
#include "host/supervisor/lifecycle.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

enum class Type { kCounter, kGauge, kInfo, kStateSet, kSummary };

std::string_view to_string(Type type) {
    switch (type) {
    case Type::kCounter:
        return "counter";
    case Type::kGauge:
        return "gauge";
    case Type::kInfo:
        return "info";
    case Type::kStateSet:
        return "stateset";
    case Type::kSummary:
        break;
    }
    return "summary";
}

// What the samples of a type end in, where they all end alike.
std::string_view suffix_of(Type type) {
    return type == Type::kCounter ? "_total" : type == Type::kInfo ? "_info" : "";
}

struct Family {
    std::string name; // without what its samples end in
    Type type = Type::kGauge;
    std::string help;
    std::string unit = {}; // then the name ends in it
};

using Labels = std::vector<std::pair<std::string_view, std::string>>;

std::string escaped(std::string_view text, bool with_quotes) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
            continue;
        }
        if (c == '\\' || (c == '"' && with_quotes))
            out += '\\';
        out += c;
    }
    return out;
}

class Writer {
public:
    explicit Writer(MetricsFormat format)
        : open_(format == MetricsFormat::kOpenMetrics) {}

    // Samples of it follow.
    void begin(Family family) {
        family_ = std::move(family);
        // The older format describes names of samples, and knows neither info nor state set: these are gauges there.
        const bool gauge = !open_ && (family_.type == Type::kInfo || family_.type == Type::kStateSet);
        const std::string name = family_.name + std::string(open_ ? "" : suffix_of(family_.type));
        out_ += fmt::format("# HELP {} {}\n", name, escaped(family_.help, open_));
        out_ += fmt::format("# TYPE {} {}\n", name, gauge ? "gauge" : to_string(family_.type));
        if (open_ && !family_.unit.empty())
            out_ += fmt::format("# UNIT {} {}\n", name, family_.unit);
    }

    template <class Number>
    void add(Number value, const Labels& labels = {}, std::string_view part = {}) {
        out_ += family_.name;
        out_ += part.empty() ? suffix_of(family_.type) : part;
        std::string_view before = "{";
        for (const auto& [name, text] : labels) {
            out_ += fmt::format("{}{}=\"{}\"", std::exchange(before, ","), name, escaped(text, true));
        }
        out_ += fmt::format("{} {}\n", labels.empty() ? "" : "}", value);
    }

    template <class Number>
    void add_alone(Family family, Number value, const Labels& labels = {}) {
        begin(std::move(family));
        add(value, labels);
    }

    std::string end() {
        if (open_)
            out_ += "# EOF\n";
        return std::move(out_);
    }

private:
    bool open_;
    Family family_;
    std::string out_;
};

double number(const nlohmann::json& object, const char* key) {
    const nlohmann::json& found = json_member(object, key);
    return found.is_number() ? found.get<double>() : 0.0;
}

// Of a counter, which is never below 0: one that has grown beyond what a signed number holds goes on.
std::uint64_t count(const nlohmann::json& value) {
    return value.is_number_integer() ? value.get<std::uint64_t>() : 0;
}

void write_host(Writer& out, const nlohmann::json& answer) {
    const nlohmann::json& status = json_member(answer, "status");
    out.add_alone(
        {"scxhost_build", Type::kInfo, "Version of the host, and the kernel's release"}, 1,
        {{"version", json_text(status, "version")}, {"kernel", json_text(json_member(status, "kernel"), "release")}});
    out.add_alone({"scxhost_uptime_seconds", Type::kGauge, "Time since the host began", "seconds"},
                  number(answer, "uptime_seconds"));
    out.begin({"scxhost_phase", Type::kStateSet, "What the host is at"});
    const std::string phase = json_text(status, "phase");
    for (std::size_t i = 0; i < kPhases; ++i) {
        const std::string_view one = to_string(static_cast<Phase>(i));
        out.add(phase == one ? 1 : 0, {{"scxhost_phase", std::string(one)}});
    }
    const nlohmann::json& agrees = json_member(status, "agrees");
    out.add_alone({"scxhost_kernel_agrees", Type::kGauge, "Whether the kernel says what the host believes"},
                  agrees.is_boolean() && agrees.get<bool>() ? 1 : 0);
    out.begin({"scxhost_swaps", Type::kCounter, "Requests for a scheduler, by what became of them"});
    if (const nlohmann::json& swaps = json_member(answer, "swaps"); swaps.is_object())
        for (const auto& [outcome, swapped] : swaps.items())
            out.add(count(swapped), {{"outcome", outcome}});
    const nlohmann::json& gaps = json_member(answer, "gaps");
    out.begin({"scxhost_swap_gap_seconds", Type::kSummary,
               "Time without a scheduler of the host's, from detaching one to the confirmation of the next",
               "seconds"});
    out.add(count(json_member(gaps, "count")), {}, "_count");
    out.add(number(gaps, "seconds"), {}, "_sum");
    out.add_alone({"scxhost_failures", Type::kCounter, "Schedulers that failed to start or were ejected"},
                  count(json_member(answer, "failures")));
    out.add_alone({"scxhost_recent_failures", Type::kGauge, "Failures that count towards restart.limit now"},
                  json_integer(status, "recent_failures"));
    out.add_alone({"scxhost_quarantined_builds", Type::kGauge, "Builds that failed and are not tried again"},
                  json_member(status, "quarantine").size());
}

void write_scheduler(Writer& out, const nlohmann::json& scheduler) {
    if (!scheduler.is_object())
        return;
    const Labels name = {{"scheduler", json_text(scheduler, "name")}};
    out.add_alone({"scxhost_scheduler", Type::kInfo, "The scheduler that runs"}, 1,
                  {name.front(), {"title", json_text(scheduler, "title")}});
    out.add_alone({"scxhost_scheduler_running_seconds", Type::kGauge, "How long the scheduler has run", "seconds"},
                  number(scheduler, "running_seconds"), name);
    out.add_alone({"scxhost_plugin_hangs", Type::kGauge, "Whether the scheduler's user-space half does not return"},
                  json_member(scheduler, "plugin_hangs").is_object() ? 1 : 0, name);
}

void write_kernel_events(Writer& out, const nlohmann::json& answer) {
    const nlohmann::json& events = json_member(answer, "kernel_events");
    if (!events.is_object() || events.empty())
        return;
    // Somebody else's scheduler has no name but the one in the kernel.
    const nlohmann::json& status = json_member(answer, "status");
    std::string scheduler = json_text(json_member(status, "scheduler"), "name");
    if (scheduler.empty())
        scheduler = json_text(json_member(status, "kernel"), "ops");
    out.begin({"scxhost_kernel_events", Type::kCounter, "The kernel's counters of events of the root scheduler"});
    for (const auto& [event, happened] : events.items())
        out.add(count(happened), {{"scheduler", scheduler}, {"event", event}});
}

struct BaseUnit {
    std::string_view unit; // as a scheduler declares it
    std::string_view base; // as metrics have it
    double factor;
};
constexpr BaseUnit kBaseUnits[] = {
    {"ns", "seconds", 1e-9},     {"us", "seconds", 1e-6}, {"ms", "seconds", 1e-3},     {"s", "seconds", 1},
    {"µs", "seconds", 1e-6},     {"B", "bytes", 1},       {"KiB", "bytes", 1U << 10U}, {"MiB", "bytes", 1U << 20U},
    {"GiB", "bytes", 1U << 30U}, {"%", "ratio", 1e-2},    {"bytes", "bytes", 1},       {"seconds", "seconds", 1},
};

std::string metric_word(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        out += byte < 0x80 && std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : '_';
    }
    return out;
}

bool strip_end(std::string& name, const std::string& end) {
    if (!name.ends_with(end) || name.size() == end.size())
        return false;
    name.resize(name.size() - end.size());
    return true;
}

// Names of metrics say the unit, a base unit if there is one, and end in nothing that means something else.
std::string statistic_name(const std::string& declared, const std::string& unit, const BaseUnit* base) {
    std::string name = metric_word(declared);
    bool stripped = true;
    while (stripped) {
        stripped = false;
        for (const char* reserved : {"_total", "_count", "_sum", "_bucket", "_created", "_info", "_gcount", "_gsum"})
            stripped = strip_end(name, reserved) || stripped;
    }
    std::string word = metric_word(unit);
    if (!word.empty())
        (void)strip_end(name, "_" + word);
    if (base != nullptr)
        word = base->base;
    else if (word.find('_') != std::string::npos)
        word.clear(); // "tasks/s" is no part of a name
    if (!word.empty() && name != word && !name.ends_with("_" + word))
        name += "_" + word;
    return "scxhost_stats_" + name;
}

void write_statistics(Writer& out, const nlohmann::json& answer) {
    const nlohmann::json& statistics = json_member(json_member(answer, "stats"), "statistics");
    if (!statistics.is_array())
        return;
    const Labels labels = {{"scheduler", json_text(json_member(json_member(answer, "status"), "scheduler"), "name")}};
    std::set<std::string> used;
    for (const nlohmann::json& entry : statistics) {
        if (json_text(entry, "name").empty())
            continue;
        const std::string unit = json_text(entry, "unit");
        const auto* base = std::ranges::find(kBaseUnits, unit, &BaseUnit::unit);
        if (base == std::end(kBaseUnits))
            base = nullptr;
        const std::string wanted = statistic_name(json_text(entry, "name"), unit, base);
        // Names that differ only in what a metric's name cannot hold.
        std::string name = wanted;
        for (int i = 2; !used.insert(name).second; ++i)
            name = base == nullptr ? fmt::format("{}_{}", wanted, i)
                                   : fmt::format("{}_{}_{}", wanted.substr(0, wanted.rfind('_')), i, base->base);
        const bool is_counter = json_text(entry, "kind") == "counter";
        std::string help = json_text(entry, "help");
        if (help.empty()) // an object that declares nothing
            help = "What the scheduler has in " + json_text(entry, "name");
        out.begin({name, is_counter ? Type::kCounter : Type::kGauge, std::move(help),
                   base == nullptr ? std::string() : std::string(base->base)});
        const nlohmann::json& value = json_member(entry, "value");
        if (base != nullptr && base->factor != 1)
            out.add((is_counter ? static_cast<double>(count(value)) : number(entry, "value")) * base->factor, labels);
        else if (is_counter)
            out.add(count(value), labels);
        else
            out.add(json_integer(entry, "value"), labels);
    }
}

} // namespace

std::optional<MetricsFormat> metrics_format(std::string_view word) {
    const auto* found = std::ranges::find(kMetricsFormats, word);
    if (found == kMetricsFormats.end())
        return std::nullopt;
    return static_cast<MetricsFormat>(found - kMetricsFormats.begin());
}

std::string metrics_text(const nlohmann::json& answer, MetricsFormat format) {
    Writer out(format);
    write_host(out, answer);
    write_scheduler(out, json_member(json_member(answer, "status"), "scheduler"));
    write_kernel_events(out, answer);
    write_statistics(out, answer);
    return out.end();
}

} // namespace scxhost
