// SPDX-License-Identifier: GPL-2.0-only
//
// What `scxhost top` knows of a host: of the answers of its control socket, with short histories. Texts are one line
// each and harmless for a terminal, whatever the host sent. No clock, no terminal, no connection.
#pragma once

#include "host/base/result.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

// What a text means, which the terminal makes a colour of, where it has some.
enum class TopStyle { kPlain, kFaint, kHeading, kGood, kWarning, kBad };

struct TopNote {
    std::string text;
    TopStyle style = TopStyle::kPlain;
};

struct TopStatistic {
    std::string name;
    std::string unit;
    std::string help;
    bool counter = false;
    std::int64_t value = 0;
    std::optional<double> rate; // per second, of a counter
    std::deque<double> history; // of the rate, of a gauge its value; the latest last
};

struct TopKernelEvent {
    std::string name;
    std::int64_t value = 0;
    std::deque<std::int64_t> growth; // from one reading to the next; the latest last
};

struct TopSeat {
    std::string name;
    std::size_t depth = 0; // branches between it and the machine's scheduler
    std::string cgroup;    // of a branch
    std::string title;     // empty: nothing of this host's runs there
    std::string phase;
    std::optional<std::chrono::nanoseconds> running;
    std::optional<std::uint64_t> tasks;
    std::optional<std::uint64_t> cpus;
    bool agrees = true;
    std::string kernel;         // its word
    std::vector<TopNote> notes; // what else is to know
    std::vector<TopStatistic> statistics;
    std::vector<TopKernelEvent> kernel_events;
    std::deque<TopNote> swaps; // the latest first
};

// A line of the log; one event may have several.
struct TopEventLine {
    std::string time; // of the day; empty: goes on from the line above
    TopNote note;
};

class TopModel {
public:
    static constexpr std::size_t kHistory = 120;       // readings
    static constexpr std::size_t kRecentReadings = 10; // in which a kernel's counter has moved, to be shown
    static constexpr std::size_t kEventLines = 500;
    static constexpr std::size_t kSwaps = 20; // of each seat

    // A reading is the next one in the histories, or in the place of the latest, when it comes early.
    enum class Reading { kNext, kAgain };

    // The answer to `metrics`.
    void take(const nlohmann::json& answer, Reading reading);
    // The answer to `events`: those that have not been taken yet.
    void take_events(const nlohmann::json& answer);
    void take_event(const nlohmann::json& event);
    // Nothing is known of the host any more but what happened.
    void lose(const Error& why);
    // Something else that the reader is to find among the events.
    void tell(std::string time, TopNote note);

    [[nodiscard]] bool connected() const { return connected_; }
    [[nodiscard]] const std::string& trouble() const { return trouble_; } // why not, or why no answer came
    void trouble(const Error& error);
    // The machine's first, each branch below what it is below.
    [[nodiscard]] const std::vector<TopSeat>& seats() const { return seats_; }
    // nullptr: there is none of this name.
    [[nodiscard]] const TopSeat* find(const std::string& name) const;
    [[nodiscard]] const std::deque<TopEventLine>& events() const { return events_; }
    [[nodiscard]] const std::string& host() const { return host_; } // "host 812, scxhost 0.1.0, Linux 7.3.4"

private:
    struct Memory {
        std::string run; // which run of a scheduler the histories are of
        std::map<std::string, std::deque<double>> statistics;
        std::map<std::string, TopKernelEvent> kernel_events;
    };

    [[nodiscard]] TopSeat seat_of(const nlohmann::json& metrics, Reading reading);
    void add_statistics(TopSeat& seat, const nlohmann::json& stats, Memory& memory, Reading reading) const;
    void add_kernel_events(TopSeat& seat, const nlohmann::json& events, Memory& memory, Reading reading) const;
    void add_swaps(TopSeat& seat, const nlohmann::json& status) const;
    void drop_old_events();

    bool connected_ = false;
    std::string trouble_ = "no answer yet";
    std::string host_;
    std::vector<TopSeat> seats_;
    std::map<std::string, Memory> memories_;             // by seat
    std::map<std::string, std::deque<TopNote>> settled_; // swaps, by seat
    std::deque<TopEventLine> events_;
    std::string latest_event_; // its time
};

// "12s", "2m05s", "3h12m", "4d03h".
[[nodiscard]] std::string short_age(std::chrono::nanoseconds age);

// An error in one line, with its hint.
[[nodiscard]] std::string describe_in_a_line(const Error& error);

// What became of a request, as a line: its answer, of a swap a SWAP of docs/control.md.
[[nodiscard]] TopNote request_note(const nlohmann::json& answer);

} // namespace scxhost
