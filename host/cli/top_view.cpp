// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/top_view.hpp"

#include "host/cli/terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <sstream>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

using Lines = std::vector<TopLine>;

constexpr std::size_t kMessageLines = 3;
constexpr std::size_t kChoiceLines = 6;

constexpr std::string_view kKeys = "s swap  p stop  r resume  j/k seat  e events  ? help  q quit";
constexpr std::string_view kShortKeys = "s p r  j/k  e  ? help  q quit";

struct HelpLine {
    std::string_view keys;
    std::string_view text;
};
constexpr HelpLine kHelp[] = {
    {"j k, arrows", "the seat above or below: the machine's scheduler or a branch"},
    {"s", "swap: choose a plugin, or type its name or a file's path"},
    {"p", "stop: the scheduler above, or the kernel's own, takes the tasks"},
    {"r", "resume what was wanted last; forgets failures and quarantine"},
    {"e", "events on the whole screen, and back"},
    {"PgUp PgDn", "scroll the statistics, or the large events"},
    {"Esc", "clear the last message"},
    {"? h", "this page; any key leaves it"},
    {"q, Ctrl-C", "quit; the host goes on"},
};

TopLine line_of(std::string text, TopStyle style = TopStyle::kPlain) {
    return {.spans = {{std::move(text), style}}};
}

// Exactly so many columns: cut with a sign of it, or filled up.
std::string fit(const std::string& text, std::size_t columns, bool right = false) {
    const std::size_t needs = columns_of(text);
    const std::string result = needs <= columns ? text : columns == 0 ? "" : cut_to_columns(text, columns - 1) + "…";
    const std::string padding(columns - std::min(columns_of(result), columns), ' ');
    return right ? padding + result : result + padding;
}

// At spaces; a word that is longer than a line is cut there. The last line says when there was more.
std::vector<std::string> wrap(const std::string& text, std::size_t columns, std::size_t most) {
    std::vector<std::string> lines;
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        if (!lines.empty() && columns_of(lines.back()) + 1 + columns_of(word) <= columns) {
            lines.back() += " " + word;
            continue;
        }
        if (lines.size() == most) {
            lines.back() = cut_to_columns(lines.back(), columns - 1) + "…";
            return lines;
        }
        for (std::string part = cut_to_columns(word, columns); !word.empty() && !part.empty() && lines.size() < most;
             part = cut_to_columns(word, columns)) {
            lines.push_back(part);
            word.erase(0, part.size());
        }
    }
    return lines;
}

// A sign for each character that ASCII does not have.
std::string in_ascii(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const bool ellipsis = text.starts_with("…");
        const auto first = static_cast<unsigned char>(text[0]);
        if (first < 0x80)
            result += text[0];
        else if (first >= 0xc0)
            result += ellipsis ? '~' : '?';
        text.remove_prefix(1);
    }
    return result;
}

std::string count_text(const std::optional<std::uint64_t>& count) {
    return count ? fmt::format("{}", *count) : "-";
}

TopStyle style_of_phase(const std::string& phase) {
    if (phase == "good")
        return TopStyle::kGood;
    return phase == "stood-down" ? TopStyle::kBad : TopStyle::kWarning;
}

// Of `count` lines `room`, with `at` among them: the first one.
std::size_t window_begin(std::size_t count, std::size_t room, std::size_t at) {
    return count <= room ? 0 : std::min(at - std::min(at, room / 2), count - room);
}

struct StatisticRow {
    const TopStatistic* statistic;
    std::string now;
    std::string total;
};

std::vector<StatisticRow> statistic_rows(const TopSeat& seat) {
    std::vector<StatisticRow> rows;
    std::vector<StatisticRow> still; // what has never moved is of the least interest
    for (const TopStatistic& statistic : seat.statistics) {
        const std::string value = group_digits(statistic.value) + (statistic.unit.empty() ? "" : " " + statistic.unit);
        StatisticRow row{.statistic = &statistic, .now = statistic.counter ? "" : value, .total = ""};
        if (statistic.counter) {
            if (statistic.rate && *statistic.rate >= 0 && *statistic.rate < 9e18)
                row.now = group_digits(std::llround(*statistic.rate)) + "/s";
            row.total = value;
        }
        const bool moves =
            statistic.value != 0 || std::ranges::any_of(statistic.history, [](double reading) { return reading != 0; });
        (moves ? rows : still).push_back(std::move(row));
    }
    std::ranges::move(still, std::back_inserter(rows));
    return rows;
}

struct StatisticColumns {
    std::size_t name = 0;
    std::size_t now = 0;
    std::size_t total = 0; // 0: not shown
    std::size_t graph = 0;
    bool help = false;

    // From what the texts need to what there is.
    void fit_into(std::size_t columns) {
        name = std::min(name, columns * 2 / 5);
        now = std::min<std::size_t>(now, columns < 60 ? 12 : 20);
        total = columns < 60 ? 0 : std::min<std::size_t>(total, 24);
        const std::size_t used = name + 1 + now + 2 + (total > 0 ? total + 2 : 0);
        graph = std::min(columns - std::min(columns, used), columns < 120 ? std::size_t{20} : columns / 4);
        help = columns >= used + graph + 2 + 10;
    }
};

class Drawing {
public:
    Drawing(const TopModel& model, const TopState& state, const TopSize& size, bool unicode)
        : model_(model)
        , state_(state)
        , size_(size)
        , unicode_(unicode) {}

    TopPicture draw();

private:
    [[nodiscard]] TopLine header() const;
    [[nodiscard]] Lines footer(std::size_t lines_in_all);
    [[nodiscard]] Lines whats(std::size_t lines_in_all) const;
    [[nodiscard]] Lines help() const;
    void body(std::size_t room);
    [[nodiscard]] Lines seat_rows(std::size_t room) const;
    [[nodiscard]] TopLine seat_heading() const;
    [[nodiscard]] Lines details(const TopSeat& seat) const;
    [[nodiscard]] std::string moved_events(const TopSeat& seat) const;
    [[nodiscard]] Lines statistics(const TopSeat& seat, std::size_t room);
    [[nodiscard]] TopLine statistic_line(const StatisticRow& row, const StatisticColumns& columns) const;
    [[nodiscard]] Lines event_lines(std::size_t room);
    void finish(TopLine& line) const;

    struct SeatColumns {
        std::size_t name = 0;
        std::size_t title = 0;
        std::size_t cgroup = 0;
        bool since = false;
        bool tasks = false;
        bool cpus = false;
    };
    [[nodiscard]] SeatColumns seat_columns() const;
    static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max() / 4;

    const TopModel& model_;
    const TopState& state_;
    const TopSize& size_;
    bool unicode_;
    TopPicture picture_;
};

TopLine Drawing::header() const {
    TopLine line{.spans = {{"scxhost top  ", TopStyle::kHeading}}};
    if (!model_.host().empty() && model_.connected())
        line.spans.push_back({model_.host()});
    if (!model_.trouble().empty())
        line.spans.push_back({(model_.connected() ? "  " : "") + model_.trouble(), TopStyle::kBad});
    return line;
}

Lines Drawing::whats(std::size_t lines_in_all) const {
    const std::vector<TopChoice> offered = choices(state_);
    const std::size_t room = std::min({offered.size(), kChoiceLines, lines_in_all / 3});
    const std::size_t first = window_begin(offered.size(), room, state_.choice);
    Lines lines;
    std::size_t widest = 0;
    for (const TopChoice& choice : offered)
        widest = std::max(widest, columns_of(printable(choice.word)));
    for (std::size_t i = first; i < first + room; ++i)
        lines.push_back({.spans = {{(i == state_.choice ? "> " : "  ") +
                                    fit(printable(offered[i].word), std::min(widest, size_.columns / 2)) + "  "},
                                   {offered[i].title, TopStyle::kFaint}},
                         .marked = i == state_.choice});
    return lines;
}

Lines Drawing::footer(std::size_t lines_in_all) {
    Lines lines;
    const std::size_t columns = size_.columns;
    switch (state_.asking) {
    case TopState::Asking::kWhat: {
        lines = whats(lines_in_all);
        const std::string prompt = fmt::format("swap {} to: ", state_.seat);
        const std::string shown = fit(prompt, std::min(columns_of(prompt), columns / 2));
        std::string typed = printable(state_.typed);
        const std::size_t room = columns - columns_of(shown) - 1;
        while (columns_of(typed) > room) // its end is what is being typed
            typed.erase(0, 1);
        lines.push_back({.spans = {{shown, TopStyle::kHeading}, {typed}}});
        picture_.cursor = {.line = lines_in_all - 2, .column = columns_of(shown) + columns_of(typed)};
        lines.push_back(line_of("Enter takes the marked one, Esc leaves", TopStyle::kFaint));
        return lines;
    }
    case TopState::Asking::kWhether:
        for (const std::string& part : wrap(printable(state_.question), columns, kMessageLines))
            lines.push_back(line_of(part, TopStyle::kHeading));
        lines.push_back(line_of("y yes, any other key no", TopStyle::kFaint));
        return lines;
    case TopState::Asking::kNothing:
        break;
    }
    for (const std::string& part : wrap(printable(state_.message.text), columns, kMessageLines))
        lines.push_back(line_of(part, state_.message.style));
    if (lines.empty())
        lines.emplace_back();
    lines.push_back(line_of(std::string(columns < kKeys.size() ? kShortKeys : kKeys), TopStyle::kFaint));
    return lines;
}

Lines Drawing::help() const {
    Lines lines;
    for (const auto& [keys, text] : kHelp)
        lines.push_back({.spans = {{fit(std::string(keys), 12), TopStyle::kHeading}, {std::string(text)}}});
    return lines;
}

Drawing::SeatColumns Drawing::seat_columns() const {
    constexpr std::size_t kMarkAndPhase = 2 + 11;
    const std::size_t columns = size_.columns;
    SeatColumns result;
    std::size_t rest = columns - kMarkAndPhase;
    const auto take = [&](std::size_t from, std::size_t width) {
        const bool fits = columns >= from;
        rest -= fits ? width : 0;
        return fits;
    };
    result.since = take(56, 8);
    result.tasks = take(64, 8);
    result.cpus = take(70, 6);
    if (take(120, columns / 4))
        result.cgroup = columns / 4 - 1;
    std::size_t longest = 4;
    for (const TopSeat& seat : model_.seats())
        longest = std::max(longest, 2 * seat.depth + columns_of(seat.name));
    result.name = std::min(longest, rest * 9 / 20);
    result.title = rest - result.name - 2;
    return result;
}

TopLine Drawing::seat_heading() const {
    const SeatColumns columns = seat_columns();
    std::string text =
        fmt::format("  {} {} {}", fit("SEAT", columns.name), fit("SCHEDULER", columns.title), fit("PHASE", 10));
    if (columns.since)
        text += fit("SINCE", 8, true);
    if (columns.tasks)
        text += fit("TASKS", 8, true);
    if (columns.cpus)
        text += fit("CPUS", 6, true);
    if (columns.cgroup > 0)
        text += " " + fit("CGROUP", columns.cgroup);
    return line_of(text, TopStyle::kHeading);
}

Lines Drawing::seat_rows(std::size_t room) const {
    const SeatColumns columns = seat_columns();
    const std::vector<TopSeat>& seats = model_.seats();
    const auto chosen = std::ranges::find(seats, state_.seat, &TopSeat::name);
    const auto at = static_cast<std::size_t>(chosen - seats.begin());
    room = std::min(room, seats.size());
    const std::size_t first = window_begin(seats.size(), room, std::min(at, seats.size() - 1));
    Lines lines;
    for (std::size_t i = first; i < first + room; ++i) {
        const TopSeat& seat = seats[i];
        TopLine line{.spans = {}, .marked = i == at && size_.lines.has_value()};
        // A deep tree keeps its names.
        const std::string indent(std::min(2 * seat.depth, columns.name / 2), ' ');
        line.spans.push_back({(i == at ? "> " : "  ") + fit(indent + seat.name, columns.name) + " " +
                              fit(seat.title.empty() ? "-" : seat.title, columns.title) + " "});
        line.spans.push_back({fit(seat.phase, 10), style_of_phase(seat.phase)});
        std::string rest;
        if (columns.since)
            rest += fit(seat.running ? short_age(*seat.running) : "-", 8, true);
        if (columns.tasks)
            rest += fit(count_text(seat.tasks), 8, true);
        if (columns.cpus)
            rest += fit(count_text(seat.cpus), 6, true);
        if (columns.cgroup > 0)
            rest += " " + fit(seat.cgroup, columns.cgroup);
        line.spans.push_back({rest});
        lines.push_back(std::move(line));
    }
    return lines;
}

std::string Drawing::moved_events(const TopSeat& seat) const {
    std::string text;
    for (const TopKernelEvent& event : seat.kernel_events) {
        std::int64_t growth = 0;
        for (const std::int64_t step : event.growth)
            growth += step;
        if (growth == 0)
            continue;
        constexpr std::string_view kPrefix = "SCX_EV_";
        const std::string name = event.name.starts_with(kPrefix) ? event.name.substr(kPrefix.size()) : event.name;
        text += fmt::format("{}{} {} ({:+})", text.empty() ? "" : "  ", name, group_digits(event.value), growth);
    }
    return text;
}

Lines Drawing::details(const TopSeat& seat) const {
    Lines lines;
    const auto add = [&lines](std::string_view title, const TopNote& note) {
        lines.push_back({.spans = {{fit(std::string(title), 8), TopStyle::kHeading}, {note.text, note.style}}});
    };
    add("kernel", {seat.kernel, seat.agrees ? TopStyle::kPlain : TopStyle::kBad});
    for (const TopNote& note : seat.notes)
        add("", note);
    if (!seat.swaps.empty())
        add("swaps", seat.swaps.front());
    if (const std::string events = moved_events(seat); !events.empty())
        add("events", {events});
    // After what is always of interest.
    for (std::size_t i = 1; i < seat.swaps.size(); ++i)
        add(i == 1 ? "before" : "", seat.swaps[i]);
    return lines;
}

Lines Drawing::statistics(const TopSeat& seat, std::size_t room) {
    constexpr std::string_view kTitle = "STATISTICS";
    if (room == 0)
        return {};
    const std::vector<StatisticRow> rows = statistic_rows(seat);
    StatisticColumns columns{.name = kTitle.size(), .now = 3, .total = 5};
    for (const StatisticRow& row : rows) {
        columns.name = std::max(columns.name, columns_of(row.statistic->name));
        columns.now = std::max(columns.now, columns_of(row.now));
        columns.total = std::max(columns.total, columns_of(row.total));
    }
    columns.fit_into(size_.columns);
    const std::string total = columns.total > 0 ? "  " + fit("TOTAL", columns.total, true) : "";
    Lines lines = {line_of(fit(std::string(kTitle), columns.name) + " " + fit("NOW", columns.now, true) + "  " +
                               fit("", columns.graph) + total,
                           TopStyle::kHeading)};
    if (rows.empty() && room > 1)
        lines.push_back(line_of("(no statistics here)", TopStyle::kFaint));
    const std::size_t shown = std::min(rows.size(), room - 1);
    const std::size_t first = std::min(state_.scroll, rows.size() - shown);
    picture_.scroll = first;
    for (std::size_t i = first; i < first + shown; ++i)
        lines.push_back(statistic_line(rows[i], columns));
    return lines;
}

TopLine Drawing::statistic_line(const StatisticRow& row, const StatisticColumns& columns) const {
    const TopStatistic& statistic = *row.statistic;
    TopLine line{
        .spans = {{fit(statistic.name, columns.name) + " " + fit(row.now, columns.now, true) + "  "},
                  {fit(sparkline(statistic.history, columns.graph, unicode_), columns.graph, true), TopStyle::kGood}}};
    if (columns.total > 0)
        line.spans.push_back({"  " + fit(row.total, columns.total, true)});
    if (columns.help)
        line.spans.push_back({"  " + statistic.help, TopStyle::kFaint});
    return line;
}

Lines Drawing::event_lines(std::size_t room) {
    Lines lines;
    if (room == 0)
        return lines;
    if (room > 2)
        lines.push_back(line_of("EVENTS (times in UTC)", TopStyle::kHeading));
    const std::deque<TopEventLine>& events = model_.events();
    const std::size_t shown = std::min(events.size(), room - lines.size());
    std::size_t back = 0;
    if (state_.large_events)
        picture_.scroll = back = std::min(state_.scroll, events.size() - shown);
    for (std::size_t i = events.size() - shown - back; i < events.size() - back; ++i)
        lines.push_back(
            {.spans = {{fit(events[i].time, 10), TopStyle::kFaint}, {events[i].note.text, events[i].note.style}}});
    return lines;
}

void Drawing::body(std::size_t room) {
    const auto append = [this](Lines lines) { std::ranges::move(lines, std::back_inserter(picture_.lines)); };
    if (model_.seats().empty()) {
        append({TopLine(), line_of("No host answers. It is looked for again and again; q quits.", TopStyle::kBad)});
        return append(event_lines(room - std::min<std::size_t>(room, 2)));
    }
    const TopSeat* found = model_.find(state_.seat);
    const TopSeat& seat = found == nullptr ? model_.seats().front() : *found;
    append({seat_heading()});
    room -= 1;
    Lines rows = seat_rows(std::max<std::size_t>(room / 3, 1));
    room -= rows.size();
    append(std::move(rows));
    Lines facts = details(seat);
    facts.resize(std::min(facts.size(), state_.large_events ? 1 : std::max<std::size_t>(room / 3, 1)));
    room -= facts.size();
    append(std::move(facts));
    if (state_.large_events)
        return append(event_lines(room));
    // The statistics get what the events leave, and the other way round.
    const std::size_t for_statistics = seat.statistics.size() + 1;
    const std::size_t for_events =
        std::min(std::max(room / 3, room - std::min(room, for_statistics)), model_.events().size() + 1);
    append(statistics(seat, room - for_events));
    append(event_lines(for_events));
}

// Not beyond the terminal's edge, and of what it can show.
void Drawing::finish(TopLine& line) const {
    std::size_t left = size_.columns;
    for (TopSpan& span : line.spans) {
        if (columns_of(span.text) > left)
            span.text = fit(span.text, left);
        left -= columns_of(span.text);
        if (!unicode_)
            span.text = in_ascii(span.text);
    }
}

TopPicture Drawing::draw() {
    const std::size_t lines = size_.lines.value_or(kUnlimited);
    if (!fits_top(size_)) {
        for (const std::string& part : wrap(fmt::format("The terminal has {}x{}; scxhost top needs {}x{}. q quits.",
                                                        size_.columns, lines, kTopColumns, kTopLines),
                                            std::max<std::size_t>(size_.columns, 1), lines))
            picture_.lines.push_back(line_of(part, TopStyle::kWarning));
        picture_.lines.resize(lines);
        return std::move(picture_);
    }
    picture_.scroll = state_.scroll;
    picture_.lines.push_back(header());
    Lines foot = size_.lines ? footer(lines) : Lines();
    if (state_.help)
        std::ranges::move(help(), std::back_inserter(picture_.lines));
    else
        body(lines - 1 - foot.size());
    if (size_.lines) {
        picture_.lines.resize(lines - foot.size());
        std::ranges::move(foot, std::back_inserter(picture_.lines));
    }
    for (TopLine& line : picture_.lines)
        finish(line);
    return std::move(picture_);
}

} // namespace

std::string sparkline(const std::deque<double>& history, std::size_t columns, bool unicode) {
    static constexpr std::array<std::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static constexpr std::array<std::string_view, 8> kSigns = {"_", ".", ":", "-", "=", "+", "*", "#"};
    const std::array<std::string_view, 8>& levels = unicode ? kBlocks : kSigns;
    const std::size_t shown = std::min(history.size(), columns);
    const auto begin = history.end() - static_cast<std::ptrdiff_t>(shown);
    const double most = shown == 0 ? 0 : *std::max_element(begin, history.end());
    std::string result;
    for (auto value = begin; value != history.end(); ++value) {
        const double part = most > 0 ? *value / most : 0;
        // Anything is more than nothing.
        const double level = part > 0 ? std::max(std::round(part * 7), 1.0) : 0;
        result += levels[static_cast<std::size_t>(std::clamp(level, 0.0, 7.0))];
    }
    return result;
}

bool fits_top(const TopSize& size) {
    return size.columns >= kTopColumns && size.lines.value_or(kTopLines) >= kTopLines;
}

std::string text_of(const TopLine& line) {
    std::string text;
    for (const TopSpan& span : line.spans)
        text += span.text;
    return text;
}

TopPicture draw_top(const TopModel& model, const TopState& state, const TopSize& size, bool unicode) {
    return Drawing(model, state, size, unicode).draw();
}

} // namespace scxhost
