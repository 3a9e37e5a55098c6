// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/top_keys.hpp"

#include "host/cli/control.hpp"
#include "host/cli/terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace scxhost {
namespace {

using Kind = TopKey::Kind;

constexpr std::size_t kPage = 5; // lines
constexpr std::size_t kMostTyped = 4096;

const std::string& machine_of(const TopModel& model) {
    return model.seats().front().name;
}

// Who has the tasks of a seat where nothing of the host's runs.
std::string what_runs(const TopSeat& seat) {
    if (!seat.title.empty())
        return seat.title;
    return seat.depth > 0 ? "the scheduler above" : "the kernel's own scheduler";
}

TopRequest request_at(const TopModel& model, const TopSeat& seat, const std::string& method) {
    TopRequest request{.method = method, .title = fmt::format("{} {}", method, seat.name)};
    if (seat.name != machine_of(model))
        request.params["at"] = seat.name;
    return request;
}

void say(TopState& state, std::string text, TopStyle style = TopStyle::kPlain) {
    state.message = {std::move(text), style};
}

void stop_asking(TopState& state) {
    state.asking = TopState::Asking::kNothing;
    state.typed.clear();
    state.question.clear();
    state.choice = 0;
}

void ask_whether(TopState& state, TopRequest request, std::string question) {
    stop_asking(state);
    state.asking = TopState::Asking::kWhether;
    state.request = std::move(request);
    state.question = std::move(question);
}

void move_seat(TopState& state, const TopModel& model, bool down) {
    const std::vector<TopSeat>& seats = model.seats();
    const auto now = std::ranges::find(seats, state.seat, &TopSeat::name);
    if (now == seats.end())
        return keep_seat(state, model);
    if (down ? std::next(now) == seats.end() : now == seats.begin())
        return;
    state.seat = (down ? std::next(now) : std::prev(now))->name;
    if (!state.large_events)
        state.scroll = 0;
}

void ask_swap(TopState& state, const TopModel& model, const TopSeat& seat, const TopChoice& choice) {
    TopRequest request = request_at(model, seat, "swap");
    const std::string to = choice.word.empty() ? "what the configuration says" : printable(choice.word);
    if (!choice.word.empty())
        request.params["what"] = what_for_host(choice.word);
    request.params["wait"] = true;
    request.title = fmt::format("swap {} to {}", seat.name, to);
    ask_whether(state, std::move(request), fmt::format("swap {} from {} to {}? y/n", seat.name, what_runs(seat), to));
}

void press_what(TopState& state, const TopModel& model, const TopKey& key) {
    const std::vector<TopChoice> offered = choices(state);
    switch (key.kind) {
    case Kind::kText:
        if (state.typed.size() + key.text.size() <= kMostTyped)
            state.typed += key.text;
        state.choice = 0;
        return;
    case Kind::kBackspace:
        while (!state.typed.empty() && (static_cast<unsigned char>(state.typed.back()) & 0xc0U) == 0x80U)
            state.typed.pop_back(); // the rest of a character
        if (!state.typed.empty())
            state.typed.pop_back();
        state.choice = 0;
        return;
    case Kind::kUp:
        state.choice -= state.choice > 0 ? 1 : 0;
        return;
    case Kind::kDown:
        state.choice += state.choice + 1 < offered.size() ? 1 : 0;
        return;
    case Kind::kEscape:
        stop_asking(state);
        return say(state, "nothing was changed");
    case Kind::kEnter:
        break;
    default:
        return;
    }
    const TopSeat* seat = model.find(state.seat);
    if (seat == nullptr || state.choice >= offered.size())
        return stop_asking(state);
    ask_swap(state, model, *seat, offered[state.choice]);
}

TopAction press_whether(TopState& state, const TopKey& key) {
    TopRequest request = std::exchange(state.request, {});
    stop_asking(state);
    if (key.kind != Kind::kText || (key.text != "y" && key.text != "Y")) {
        say(state, "nothing was changed");
        return {};
    }
    say(state, request.title + ": asked");
    return {.request = std::move(request)};
}

// A key that is about the seat that is looked at.
void begin_asking(TopState& state, const TopModel& model, char key) {
    const TopSeat* seat = model.find(state.seat);
    if (seat == nullptr)
        return say(state, "there is no host to ask", TopStyle::kWarning);
    const bool branch = seat->name != machine_of(model);
    if (key == 's') {
        stop_asking(state);
        state.asking = TopState::Asking::kWhat;
    } else if (key == 'p') {
        ask_whether(state, request_at(model, *seat, "stop"),
                    fmt::format("stop {} ({}) and give its tasks to {}? y/n", seat->name, what_runs(*seat),
                                branch ? "the scheduler above" : "the kernel's own"));
    } else {
        ask_whether(state, request_at(model, *seat, "resume"),
                    fmt::format("resume {} with what was wanted there last? y/n", seat->name));
    }
}

TopAction press_letter(TopState& state, const TopModel& model, char letter) {
    switch (letter) {
    case 'q':
        return {.quit = true};
    case 'j':
    case 'k':
        move_seat(state, model, letter == 'j');
        break;
    case 'e':
        state.large_events = !state.large_events;
        state.scroll = 0;
        break;
    case '?':
    case 'h':
        state.help = true;
        break;
    case 's':
    case 'p':
    case 'r':
        begin_asking(state, model, letter);
        break;
    default:
        say(state, "? shows the keys", TopStyle::kFaint);
    }
    return {};
}

TopAction press_looking(TopState& state, const TopModel& model, const TopKey& key) {
    switch (key.kind) {
    case Kind::kText:
        return key.text.size() == 1 ? press_letter(state, model, key.text[0]) : TopAction{};
    case Kind::kUp:
    case Kind::kDown:
        move_seat(state, model, key.kind == Kind::kDown);
        break;
    case Kind::kPageUp:
    case Kind::kPageDown:
        // Of events the latest are shown first, of statistics the first ones.
        if ((key.kind == Kind::kPageUp) == state.large_events)
            state.scroll += kPage;
        else
            state.scroll -= std::min(state.scroll, kPage);
        break;
    case Kind::kEscape:
        state.message = {};
        break;
    default:
        break;
    }
    return {};
}

} // namespace

std::vector<TopChoice> choices(const TopState& state) {
    std::vector<TopChoice> result;
    if (state.typed.empty())
        result.push_back({"", "(what the configuration says)"});
    for (const TopChoice& known : state.known)
        if (known.word.starts_with(state.typed))
            result.push_back(known);
    const bool is_known = std::ranges::find(result, state.typed, &TopChoice::word) != result.end();
    if (!state.typed.empty() && !is_known)
        result.push_back({state.typed, "(as typed: a plugin's name or a file)"});
    return result;
}

TopAction press(TopState& state, const TopModel& model, const TopKey& key) {
    if (std::exchange(state.help, false))
        return {};
    switch (state.asking) {
    case TopState::Asking::kWhat:
        press_what(state, model, key);
        return {};
    case TopState::Asking::kWhether:
        return press_whether(state, key);
    case TopState::Asking::kNothing:
        break;
    }
    return press_looking(state, model, key);
}

void keep_seat(TopState& state, const TopModel& model) {
    if (model.find(state.seat) != nullptr)
        return;
    if (state.asking != TopState::Asking::kNothing) { // what was asked was about that one
        stop_asking(state);
        say(state, fmt::format("{} is gone: nothing was asked of the host", state.seat), TopStyle::kWarning);
    }
    if (model.seats().empty())
        return;
    if (!state.seat.empty())
        say(state, fmt::format("there is no {} now: this is {}", state.seat, machine_of(model)), TopStyle::kWarning);
    state.seat = machine_of(model);
}

} // namespace scxhost
