// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/top_model.hpp"

#include "host/base/error_json.hpp"
#include "host/cli/control.hpp"
#include "host/cli/event_view.hpp"
#include "host/cli/terminal.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>
#include <utility>

namespace scxhost {
namespace {

using nlohmann::json;

// A newline or tab is harmless for a terminal, but not for a line of a table.
std::string one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    std::ranges::replace(text, '\t', ' ');
    return text;
}

std::string line_in(const json& object, const char* key) {
    return one_line(text_in(object, key));
}

std::optional<std::uint64_t> count_in(const json& object, const char* key) {
    const json& found = member(object, key);
    return found.is_number_unsigned() ? std::optional(found.get<std::uint64_t>()) : std::nullopt;
}

// "2026-11-24T10:15:00.123Z" as "10:15:00".
std::string time_of_day(const json& event) {
    const std::string time = line_in(event, "time");
    const std::size_t begin = time.find('T');
    return begin == std::string::npos ? "--:--:--" : time.substr(begin + 1, 8);
}

TopStyle style_of_outcome(const std::string& outcome) {
    if (outcome == "good" || outcome == "unchanged")
        return TopStyle::kGood;
    if (outcome == "failed")
        return TopStyle::kBad;
    return outcome == "accepted" || outcome == "preparing" || outcome == "on-probation" ? TopStyle::kPlain
                                                                                        : TopStyle::kWarning;
}

TopStyle style_of_event(const json& event) {
    const std::string name = text_in(event, "event");
    if (name == "settled")
        return style_of_outcome(text_in(event, "outcome"));
    for (const char* bad : {"left", "stood-down", "switch-failed", "prepare-failed", "plugin-hangs", "replaced"})
        if (name == bad)
            return TopStyle::kBad;
    for (const char* warning : {"quarantined", "starving", "suspended", "config-refused", "waiting-for-cgroup"})
        if (name == warning)
            return TopStyle::kWarning;
    return name == "enabled" ? TopStyle::kGood : TopStyle::kPlain;
}

template <typename Value>
void remember(std::deque<Value>& history, Value value, std::size_t limit, TopModel::Reading reading) {
    if (reading == TopModel::Reading::kAgain && !history.empty())
        history.pop_back();
    history.push_back(value);
    while (history.size() > limit)
        history.pop_front();
}

void add_notes(TopSeat& seat, const json& status) {
    if (!seat.agrees)
        seat.notes.push_back(
            {"they differ: the host has not yet seen what the kernel says, or cannot", TopStyle::kBad});
    if (const std::string preparing = line_in(status, "preparing"); !preparing.empty())
        seat.notes.push_back({"preparing: " + preparing, TopStyle::kWarning});
    if (const std::string why = line_in(status, "waits_for"); !why.empty())
        seat.notes.push_back({"waits: " + why, TopStyle::kWarning});
    if (const json& down = member(status, "stood_down"); down.is_object())
        seat.notes.push_back({"stood down: " + line_in(down, "message"), TopStyle::kBad});
    if (const json& hang = member(member(status, "scheduler"), "plugin_hangs"); hang.is_object())
        seat.notes.push_back(
            {fmt::format("plugin hangs: in {}, for {}; the scheduler in the kernel goes on", line_in(hang, "callback"),
                         human_duration(duration_in(hang, "seconds", std::chrono::seconds(1)))),
             TopStyle::kBad});
    if (const std::string kept = line_in(status, "kept"); !kept.empty())
        seat.notes.push_back({"kept loaded: " + kept, TopStyle::kPlain});
    if (const json& quarantine = member(status, "quarantine"); quarantine.is_array())
        for (const json& build : quarantine)
            seat.notes.push_back({fmt::format("quarantined: {}: {}", line_in(build, "title"), line_in(build, "reason")),
                                  TopStyle::kWarning});
}

TopNote swap_note(const json& report) {
    TopNote note{one_line(describe_swap(report)), style_of_outcome(text_in(report, "outcome"))};
    if (const json& error = member(report, "error"); error.is_object())
        note.text += ": " + describe_in_a_line(error_from_json(error));
    return note;
}

// Each seat behind the one that it is below, those of one place in the host's order. Who names a place that is not
// there comes last; nobody comes twice.
class TreeOrder {
public:
    explicit TreeOrder(std::vector<std::pair<std::string, TopSeat>> seats)
        : seats_(std::move(seats))
        , placed_(seats_.size()) {}

    std::vector<TopSeat> sorted(const std::string& root) {
        place(root, 1);
        for (std::size_t i = 0; i < seats_.size(); ++i)
            if (!placed_[i])
                put(i, 1);
        return std::move(result_);
    }

private:
    void place(const std::string& above, std::size_t depth) {
        for (std::size_t i = 0; i < seats_.size(); ++i)
            if (!placed_[i] && seats_[i].first == above) {
                const std::string name = seats_[i].second.name;
                put(i, depth);
                place(name, depth + 1);
            }
    }
    void put(std::size_t i, std::size_t depth) {
        placed_[i] = true;
        seats_[i].second.depth = depth;
        result_.push_back(std::move(seats_[i].second));
    }

    std::vector<std::pair<std::string, TopSeat>> seats_; // with the name of what each is below
    std::vector<bool> placed_;
    std::vector<TopSeat> result_;
};

} // namespace

std::string short_age(std::chrono::nanoseconds age) {
    const auto seconds = std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(age).count(), 0);
    if (seconds < 60)
        return fmt::format("{}s", seconds);
    if (seconds < 3600)
        return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
    if (seconds < 86400)
        return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
    return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
}

std::string describe_in_a_line(const Error& error) {
    return one_line(printable(error.what + (error.hint.empty() ? "" : "; " + error.hint)));
}

TopNote request_note(const json& answer) {
    if (answer.contains("outcome"))
        return swap_note(answer);
    return {"taken; it is " + line_in(answer, "phase") + " now", TopStyle::kGood};
}

void TopModel::take(const json& answer, Reading reading) {
    const json& status = member(answer, "status");
    connected_ = true;
    trouble_.clear();
    host_ = fmt::format("host {}, scxhost {}, Linux {}", integer_in(status, "pid"), line_in(status, "version"),
                        line_in(member(status, "kernel"), "release"));
    TopSeat machine = seat_of(answer, reading);
    std::vector<std::pair<std::string, TopSeat>> branches;
    if (const json& below = member(answer, "below"); below.is_array())
        for (const json& branch : below)
            branches.emplace_back(line_in(member(branch, "status"), "above"), seat_of(branch, reading));
    std::vector<TopSeat> sorted = TreeOrder(std::move(branches)).sorted(machine.name);
    seats_.clear();
    seats_.push_back(std::move(machine));
    std::ranges::move(sorted, std::back_inserter(seats_));
    std::erase_if(memories_, [this](const auto& entry) { return find(entry.first) == nullptr; });
}

TopSeat TopModel::seat_of(const json& metrics, Reading reading) {
    const json& status = member(metrics, "status");
    const json& scheduler = member(status, "scheduler");
    const json& kernel = member(status, "kernel");
    const std::string ops = line_in(kernel, "ops");
    TopSeat seat;
    seat.name = line_in(status, "seat");
    seat.cgroup = line_in(status, "cgroup");
    seat.title = line_in(scheduler, "title");
    seat.phase = line_in(status, "phase");
    if (scheduler.is_object())
        seat.running = duration_in(scheduler, "running_seconds", std::chrono::seconds(1));
    seat.tasks = count_in(status, "tasks");
    seat.cpus = count_in(status, "cpus");
    seat.agrees = member(status, "agrees") != false;
    seat.kernel = line_in(kernel, "state") + (ops.empty() ? "" : ": " + ops);
    add_notes(seat, status);
    add_swaps(seat, status);

    Memory& memory = memories_[seat.name];
    const std::string run = fmt::format("{} {}", ops, integer_in(scheduler, "enable_seq"));
    if (std::exchange(memory.run, run) != run)
        memory = {.run = run, .statistics = {}, .kernel_events = {}};
    add_statistics(seat, member(metrics, "stats"), memory, reading);
    add_kernel_events(seat, member(metrics, "kernel_events"), memory, reading);
    return seat;
}

void TopModel::add_statistics(TopSeat& seat, const json& stats, Memory& memory, Reading reading) const {
    const json& entries = member(stats, "statistics");
    if (!entries.is_array())
        return;
    for (const json& entry : entries) {
        TopStatistic statistic;
        statistic.name = line_in(entry, "name");
        statistic.unit = line_in(entry, "unit");
        statistic.help = line_in(entry, "help");
        statistic.counter = text_in(entry, "kind") == "counter";
        statistic.value = integer_in(entry, "value");
        if (statistic.counter && member(entry, "rate").is_number())
            statistic.rate = number_in(entry, "rate");
        std::deque<double>& history = memory.statistics[statistic.name];
        if (!statistic.counter || statistic.rate)
            remember(history, statistic.counter ? *statistic.rate : static_cast<double>(statistic.value), kHistory,
                     reading);
        statistic.history = history;
        seat.statistics.push_back(std::move(statistic));
    }
}

void TopModel::add_kernel_events(TopSeat& seat, const json& events, Memory& memory, Reading reading) const {
    if (!events.is_object())
        return;
    for (const auto& [key, value] : events.items()) {
        if (!value.is_number_integer())
            continue;
        const std::string name = one_line(printable(key));
        const auto now = value.get<std::int64_t>();
        const auto [found, is_new] = memory.kernel_events.try_emplace(name, TopKernelEvent{name, now, {}});
        TopKernelEvent& event = found->second;
        if (!is_new) {
            // What comes early counts towards the reading in whose place it is.
            auto growth =
                static_cast<std::int64_t>(static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(event.value));
            if (reading == Reading::kAgain && !event.growth.empty())
                growth += event.growth.back();
            remember(event.growth, growth, kRecentReadings, reading);
            event.value = now;
        }
        seat.kernel_events.push_back(event);
    }
}

// Those that events told of; of a host whose events are not shown, the last one by its status. Before them what is
// under way.
void TopModel::add_swaps(TopSeat& seat, const json& status) const {
    if (const auto found = settled_.find(seat.name); found != settled_.end())
        seat.swaps = found->second;
    const json& last = member(status, "last_swap");
    if (!last.is_object())
        return;
    const std::string outcome = text_in(last, "outcome");
    if (seat.swaps.empty() || outcome == "preparing" || outcome == "on-probation")
        seat.swaps.push_front(swap_note(last));
}

void TopModel::take_events(const json& answer) {
    const std::string before = latest_event_;
    if (const json& recent = member(answer, "events"); recent.is_array())
        for (const json& event : recent)
            if (text_in(event, "time") > before)
                take_event(event);
}

void TopModel::take_event(const json& event) {
    latest_event_ = std::max(latest_event_, text_in(event, "time"));
    const TopStyle style = style_of_event(event);
    std::istringstream lines(describe_any_event(event, /*colour=*/false));
    std::string time = time_of_day(event);
    for (std::string line; std::getline(lines, line);)
        events_.push_back({std::exchange(time, {}), {one_line(line), style}});
    drop_old_events();
    if (text_in(event, "event") != "settled")
        return;
    const std::string seat = line_in(event, "seat");
    std::deque<TopNote>& swaps = settled_[seat.empty() ? "machine" : seat];
    TopNote note = swap_note(event);
    note.text.insert(0, time_of_day(event) + " ");
    swaps.push_front(std::move(note));
    if (swaps.size() > kSwaps)
        swaps.pop_back();
}

void TopModel::tell(std::string time, TopNote note) {
    note.text = one_line(printable(note.text));
    events_.push_back({std::move(time), std::move(note)});
    drop_old_events();
}

void TopModel::drop_old_events() {
    while (events_.size() > kEventLines)
        events_.pop_front();
}

void TopModel::trouble(const Error& error) {
    trouble_ = describe_in_a_line(error);
}

void TopModel::lose(const Error& why) {
    connected_ = false;
    trouble(why);
    seats_.clear();
    memories_.clear();
}

const TopSeat* TopModel::find(const std::string& name) const {
    const auto found = std::ranges::find(seats_, name, &TopSeat::name);
    return found == seats_.end() ? nullptr : &*found;
}

} // namespace scxhost
