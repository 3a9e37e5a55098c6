// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/metrics.hpp"

#include "host/base/json_fields.hpp"
#include "host/supervisor/lifecycle.hpp"
#include "host/supervisor/reports.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <iterator>
#include <string>
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

    // Samples of it follow. Without any it is left out.
    void begin(Family family) {
        family_ = std::move(family);
        is_described_ = false;
    }

    template <class Number>
    void add(Number value, const Labels& labels = {}, std::string_view part = {}) {
        if (!std::exchange(is_described_, true))
            describe();
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
    void describe() {
        // The older format describes names of samples, and knows neither info nor state set: these are gauges there.
        const bool gauge = !open_ && (family_.type == Type::kInfo || family_.type == Type::kStateSet);
        const std::string name = family_.name + std::string(open_ ? "" : suffix_of(family_.type));
        out_ += fmt::format("# HELP {} {}\n", name, escaped(family_.help, open_));
        out_ += fmt::format("# TYPE {} {}\n", name, gauge ? "gauge" : to_string(family_.type));
        if (open_ && !family_.unit.empty())
            out_ += fmt::format("# UNIT {} {}\n", name, family_.unit);
    }

    bool open_;
    Family family_;
    bool is_described_ = false;
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

// A seat's part of the answer: the machine's is the answer itself.
struct SeatAnswer {
    std::string name;
    const nlohmann::json& answer;
    const nlohmann::json& status;
    const nlohmann::json& scheduler; // null: none of the host's runs
};

SeatAnswer seat_answer(const nlohmann::json& answer) {
    const nlohmann::json& status = json_member(answer, "status");
    std::string name = json_text(status, "seat");
    return {.name = name.empty() ? kMachineSeat : std::move(name),
            .answer = answer,
            .status = status,
            .scheduler = json_member(status, "scheduler")};
}

// The machine's first: where names of statistics are in each other's way, its own stay as they are without branches.
std::vector<SeatAnswer> seats_of(const nlohmann::json& answer) {
    std::vector<SeatAnswer> seats = {seat_answer(answer)};
    if (const nlohmann::json& below = json_member(answer, "below"); below.is_array())
        for (const nlohmann::json& branch : below)
            seats.push_back(seat_answer(branch));
    return seats;
}

// Somebody else's scheduler has no name but the one in the kernel.
std::string scheduler_name(const SeatAnswer& seat) {
    std::string name = json_text(seat.scheduler, "name");
    return name.empty() ? json_text(json_member(seat.status, "kernel"), "ops") : name;
}

void write_host(Writer& out, const nlohmann::json& answer) {
    const nlohmann::json& status = json_member(answer, "status");
    out.add_alone(
        {"scxhost_build", Type::kInfo, "Version of the host, and the kernel's release"}, 1,
        {{"version", json_text(status, "version")}, {"kernel", json_text(json_member(status, "kernel"), "release")}});
    out.add_alone({"scxhost_uptime_seconds", Type::kGauge, "Time since the host began", "seconds"},
                  number(answer, "uptime_seconds"));
}

void write_places(Writer& out, const std::vector<SeatAnswer>& seats) {
    out.begin({"scxhost_branch", Type::kInfo, "A branch: the cgroup whose tasks it has, and the seat above it"});
    for (const SeatAnswer& seat : seats)
        if (const std::string cgroup = json_text(seat.status, "cgroup"); !cgroup.empty())
            out.add(1, {{"seat", seat.name}, {"above", json_text(seat.status, "above")}, {"cgroup", cgroup}});
    out.begin({"scxhost_branch_tasks", Type::kGauge, "Threads in the branch's cgroup and below"});
    for (const SeatAnswer& seat : seats)
        if (const nlohmann::json& tasks = json_member(seat.status, "tasks"); tasks.is_number_integer())
            out.add(count(tasks), {{"seat", seat.name}});
    out.begin({"scxhost_branch_cpus", Type::kGauge, "CPUs that the scheduler above grants to the branch's"});
    for (const SeatAnswer& seat : seats)
        if (const nlohmann::json& cpus = json_member(seat.status, "cpus"); cpus.is_number_integer())
            out.add(count(cpus), {{"seat", seat.name}});
    out.begin({"scxhost_phase", Type::kStateSet, "What the host is at"});
    for (const SeatAnswer& seat : seats) {
        const std::string phase = json_text(seat.status, "phase");
        for (std::size_t i = 0; i < kPhases; ++i) {
            const std::string_view one = to_string(static_cast<Phase>(i));
            out.add(phase == one ? 1 : 0, {{"seat", seat.name}, {"scxhost_phase", std::string(one)}});
        }
    }
    out.begin({"scxhost_kernel_agrees", Type::kGauge, "Whether the kernel says what the host believes"});
    for (const SeatAnswer& seat : seats) {
        const nlohmann::json& agrees = json_member(seat.status, "agrees");
        out.add(agrees.is_boolean() && agrees.get<bool>() ? 1 : 0, {{"seat", seat.name}});
    }
}

void write_totals(Writer& out, const std::vector<SeatAnswer>& seats) {
    out.begin({"scxhost_swaps", Type::kCounter, "Requests for a scheduler, by what became of them"});
    for (const SeatAnswer& seat : seats)
        if (const nlohmann::json& swaps = json_member(seat.answer, "swaps"); swaps.is_object())
            for (const auto& [outcome, swapped] : swaps.items())
                out.add(count(swapped), {{"seat", seat.name}, {"outcome", outcome}});
    out.begin({"scxhost_swap_gap_seconds", Type::kSummary,
               "Time without a scheduler of the host's, from detaching one to the confirmation of the next",
               "seconds"});
    for (const SeatAnswer& seat : seats) {
        const nlohmann::json& gaps = json_member(seat.answer, "gaps");
        out.add(count(json_member(gaps, "count")), {{"seat", seat.name}}, "_count");
        out.add(number(gaps, "seconds"), {{"seat", seat.name}}, "_sum");
    }
    out.begin({"scxhost_away_seconds", Type::kSummary, "Time without a scheduler of the host's, for whatever reason",
               "seconds"});
    for (const SeatAnswer& seat : seats) {
        const nlohmann::json& away = json_member(seat.status, "away");
        out.add(count(json_member(away, "count")), {{"seat", seat.name}}, "_count");
        out.add(number(away, "seconds"), {{"seat", seat.name}}, "_sum");
    }
    out.begin({"scxhost_away_longest_seconds", Type::kGauge, "The longest time without a scheduler of the host's",
               "seconds"});
    for (const SeatAnswer& seat : seats)
        out.add(number(json_member(seat.status, "away"), "longest_seconds"), {{"seat", seat.name}});
    out.begin({"scxhost_failures", Type::kCounter, "Schedulers that failed to start or were ejected"});
    for (const SeatAnswer& seat : seats)
        out.add(count(json_member(seat.answer, "failures")), {{"seat", seat.name}});
    out.begin({"scxhost_recent_failures", Type::kGauge, "Failures that count towards restart.limit now"});
    for (const SeatAnswer& seat : seats)
        out.add(json_integer(seat.status, "recent_failures"), {{"seat", seat.name}});
    out.begin({"scxhost_quarantined_builds", Type::kGauge, "Builds that failed and are not tried again"});
    for (const SeatAnswer& seat : seats)
        out.add(json_member(seat.status, "quarantine").size(), {{"seat", seat.name}});
}

void write_schedulers(Writer& out, const std::vector<SeatAnswer>& all) {
    std::vector<SeatAnswer> seats;
    std::ranges::copy_if(all, std::back_inserter(seats),
                         [](const SeatAnswer& seat) { return seat.scheduler.is_object(); });
    const auto labels = [](const SeatAnswer& seat) {
        return Labels{{"seat", seat.name}, {"scheduler", json_text(seat.scheduler, "name")}};
    };
    out.begin({"scxhost_scheduler", Type::kInfo, "The scheduler that runs"});
    for (const SeatAnswer& seat : seats) {
        Labels with_title = labels(seat);
        with_title.emplace_back("title", json_text(seat.scheduler, "title"));
        out.add(1, with_title);
    }
    out.begin({"scxhost_scheduler_running_seconds", Type::kGauge, "How long the scheduler has run", "seconds"});
    for (const SeatAnswer& seat : seats)
        out.add(number(seat.scheduler, "running_seconds"), labels(seat));
    out.begin({"scxhost_plugin_hangs", Type::kGauge, "Whether the scheduler's user-space half does not return"});
    for (const SeatAnswer& seat : seats)
        out.add(json_member(seat.scheduler, "plugin_hangs").is_object() ? 1 : 0, labels(seat));
}

void write_kernel_events(Writer& out, const std::vector<SeatAnswer>& seats) {
    out.begin({"scxhost_kernel_events", Type::kCounter, "The kernel's counters of a scheduler's events"});
    for (const SeatAnswer& seat : seats)
        if (const nlohmann::json& events = json_member(seat.answer, "kernel_events"); events.is_object())
            for (const auto& [event, happened] : events.items())
                out.add(count(happened), {{"seat", seat.name}, {"scheduler", scheduler_name(seat)}, {"event", event}});
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

// A statistic of all seats whose schedulers have one of this name and type.
struct StatisticFamily {
    struct Sample {
        const SeatAnswer* seat;
        const nlohmann::json* entry;
        double factor; // to the family's unit
    };
    Family family;
    std::vector<Sample> samples;
};

// Finds or makes the one that it belongs to. Names that differ only in what a metric's name cannot hold, and those of
// another type in another seat, get a number.
StatisticFamily& family_of(std::vector<StatisticFamily>& families, const SeatAnswer& seat, const nlohmann::json& entry,
                           const BaseUnit* base) {
    const Type type = json_text(entry, "kind") == "counter" ? Type::kCounter : Type::kGauge;
    const std::string wanted = statistic_name(json_text(entry, "name"), json_text(entry, "unit"), base);
    std::string name = wanted;
    for (int i = 2;; ++i) {
        const auto found =
            std::ranges::find(families, name, [](const StatisticFamily& one) { return one.family.name; });
        if (found == families.end())
            break;
        if (found->family.type == type && found->samples.back().seat != &seat)
            return *found;
        name = base == nullptr ? fmt::format("{}_{}", wanted, i)
                               : fmt::format("{}_{}_{}", wanted.substr(0, wanted.rfind('_')), i, base->base);
    }
    std::string help = json_text(entry, "help");
    if (help.empty()) // an object that declares nothing
        help = "What the scheduler has in " + json_text(entry, "name");
    return families.emplace_back(
        StatisticFamily{{name, type, std::move(help), base == nullptr ? std::string() : std::string(base->base)}, {}});
}

std::vector<StatisticFamily> statistic_families(const std::vector<SeatAnswer>& seats) {
    std::vector<StatisticFamily> families;
    for (const SeatAnswer& seat : seats) {
        const nlohmann::json& statistics = json_member(json_member(seat.answer, "stats"), "statistics");
        if (!statistics.is_array())
            continue;
        for (const nlohmann::json& entry : statistics) {
            if (json_text(entry, "name").empty())
                continue;
            const auto* base = std::ranges::find(kBaseUnits, json_text(entry, "unit"), &BaseUnit::unit);
            if (base == std::end(kBaseUnits))
                base = nullptr;
            family_of(families, seat, entry, base)
                .samples.push_back({&seat, &entry, base == nullptr ? 1 : base->factor});
        }
    }
    return families;
}

void write_statistics(Writer& out, const std::vector<SeatAnswer>& seats) {
    for (StatisticFamily& one : statistic_families(seats)) {
        const bool is_counter = one.family.type == Type::kCounter;
        out.begin(std::move(one.family));
        for (const auto& [seat, entry, factor] : one.samples) {
            const Labels labels = {{"seat", seat->name}, {"scheduler", json_text(seat->scheduler, "name")}};
            const nlohmann::json& value = json_member(*entry, "value");
            if (factor != 1)
                out.add((is_counter ? static_cast<double>(count(value)) : number(*entry, "value")) * factor, labels);
            else if (is_counter)
                out.add(count(value), labels);
            else
                out.add(json_integer(*entry, "value"), labels);
        }
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
    const std::vector<SeatAnswer> seats = seats_of(answer);
    write_host(out, answer);
    write_places(out, seats);
    write_totals(out, seats);
    write_schedulers(out, seats);
    write_kernel_events(out, seats);
    write_statistics(out, seats);
    return out.end();
}

} // namespace scxhost
