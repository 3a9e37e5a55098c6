// SPDX-License-Identifier: GPL-2.0-only
//
// What the keys of `scxhost top` do: what is looked at, what is asked, and which request comes of it. No request
// without a question before it.
#pragma once

#include "host/cli/top_model.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

struct TopKey {
    enum class Kind { kText, kUp, kDown, kPageUp, kPageDown, kEnter, kEscape, kBackspace };
    Kind kind = Kind::kText;
    std::string text; // of kText: one character
};

// A call to the host.
struct TopRequest {
    std::string method;
    nlohmann::json params = nlohmann::json::object();
    std::string title; // "swap games to qmap": what its outcome is told with
};

// What may be swapped to.
struct TopChoice {
    std::string word;  // a plugin's name or a path; empty: what the host's configuration says
    std::string title; // for people
};

struct TopState {
    enum class Asking { kNothing, kWhat, kWhether };

    std::string seat; // that is looked at
    bool large_events = false;
    bool help = false;
    std::size_t scroll = 0; // lines that the lower part is moved by
    Asking asking = Asking::kNothing;
    std::string typed;            // to kWhat
    std::size_t choice = 0;       // of choices()
    std::string question;         // of kWhether
    TopRequest request;           // what comes of a yes
    TopNote message;              // the last thing that was said
    std::vector<TopChoice> known; // installed plugins
};

// What fits what was typed: the configuration's own, the plugins whose names begin so, and then what was typed itself.
[[nodiscard]] std::vector<TopChoice> choices(const TopState& state);

struct TopAction {
    bool quit = false;
    std::optional<TopRequest> request = {};
};
[[nodiscard]] TopAction press(TopState& state, const TopModel& model, const TopKey& key);

// After each reading: the seat that is looked at is one that there is.
void keep_seat(TopState& state, const TopModel& model);

} // namespace scxhost
