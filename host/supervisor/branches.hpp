// SPDX-License-Identifier: GPL-2.0-only
//
// The seats below the machine's: a tree of schedulers, each for the tasks of a cgroup. Makes the seats those that the
// configuration names, keeps the order in which the kernel takes them (attached from the top down, detached from the
// bottom up), and looks for their cgroups. What happens in a seat is the seat's own.
//
// A branch runs only while the seat directly above it has a scheduler; until then it waits. All on the event loop's
// thread.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/path_watches.hpp"
#include "host/base/unique_fd.hpp"
#include "host/config/config.hpp"
#include "host/supervisor/seat.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

class Branches {
public:
    // All must outlive this.
    Branches(SeatServices services, SeatListener& listener, const Seat& machine);
    Branches(const Branches&) = delete;
    Branches& operator=(const Branches&) = delete;
    ~Branches();

    // Makes them those of `root`, the machine's configuration, by the smallest set of changes: removes what it does not
    // name, begins what is new, and asks for another scheduler where it says something else of a branch than the last
    // one did. What was swapped in by hand stays where it does not.
    void follow(const Config& root);
    // Whether the places of all are there, from the top down; and what follows from that.
    void look_at_places();
    // What runs below `seat` is detached and stays loaded, from the bottom up.
    void lose_places_below(const Seat& seat);
    // Whether anything runs below it.
    [[nodiscard]] bool run_below(const Seat& seat) const;
    void check_kernel();
    void check_hang();
    [[nodiscard]] bool can_hang() const; // any of them
    // At the host's end.
    void detach();

    // nullptr: there is none of this name.
    [[nodiscard]] Seat* find(std::string_view name) const;
    // Each after those above it.
    [[nodiscard]] std::vector<const Seat*> seats() const;
    // What the configuration says of it; nullptr: there is none of this name.
    [[nodiscard]] const Config* configured(std::string_view name) const;

private:
    struct Branch {
        Config config;
        std::string text; // of what the configuration says of it
        std::unique_ptr<Seat> seat;
        bool due = false;                        // `config` is still to be asked for
        std::vector<std::filesystem::path> made; // cgroups, the upper ones first
    };

    void begin(const Config& root, const Config& own, const Seat& above);
    void end(Branch& branch);
    void make_cgroup(Branch& branch);
    void ask_for_due();
    void read_inotify();
    void watch_cgroups();
    void look();
    void remove_cgroups(Branch& branch);
    [[nodiscard]] Branch* find_branch(std::string_view name) const;

    SeatServices services_;
    SeatListener& listener_;
    const Seat& machine_;
    std::vector<std::unique_ptr<Branch>> branches_; // each after those above it
    std::vector<std::unique_ptr<Seat>> ended_;      // that something is still being prepared for
    UniqueFd inotify_;
    PathWatches watches_;
    EventLoop::Watch watch_;
    bool looking_ = false;
    bool look_again_ = false;
};

} // namespace scxhost
