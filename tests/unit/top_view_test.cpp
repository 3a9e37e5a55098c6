// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/terminal.hpp"
#include "host/cli/top_view.hpp"
#include "tests/unit/top_answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TopModel model_of(const json& answer) {
    TopModel model;
    model.take_events(
        {{"events", {top_settled("10:15:01", "qmap 0.1.0", "good"), top_settled("10:15:02", "trunk 0.1.0", "good")}}});
    model.take(answer, TopModel::Reading::kNext);
    return model;
}

std::string picture_text(const TopPicture& picture) {
    std::string text;
    for (const TopLine& line : picture.lines) {
        std::string one = text_of(line);
        one.erase(one.find_last_not_of(' ') + 1);
        text += one + "\n";
    }
    return text;
}

TopState at(const std::string& seat) {
    TopState state;
    state.seat = seat;
    state.known = {{"qmap", "five queues"}, {"simple", "one queue"}};
    return state;
}

std::string draw(const TopModel& model, const TopState& state, std::size_t columns, std::size_t lines,
                 bool unicode = true) {
    return picture_text(draw_top(model, state, {.columns = columns, .lines = lines}, unicode));
}

TEST(TopView, OnAnUsualTerminal) {
    json answer = top_tree();
    TopModel model = model_of(answer);
    answer["stats"]["statistics"][1]["rate"] = 500;
    answer["kernel_events"]["SCX_EV_ENQ_SKIP_EXITING"] = 1205;
    model.take(answer, TopModel::Reading::kNext);
    TopState state = at("machine");
    state.message = {"said", TopStyle::kPlain};
    EXPECT_EQ(draw(model, state, 80, 24),
              R"(scxhost top  host 812, scxhost 0.1.0, Linux 7.3.4
  SEAT         SCHEDULER                       PHASE        SINCE   TASKS  CPUS
> machine      trunk 0.1.0                     good         2m05s       -     -
    games      qmap 0.1.0                      good         2m05s      12     4
      shooters -                               waiting          -      12     4
kernel  enabled: trun_2f6d1c0a9be45d77
swaps   10:15:02 simple 0.1.0 -> trunk 0.1.0: good, gap 4.2 ms, 153 tasks moved
events  ENQ_SKIP_EXITING 1 205 (+1200)
before  10:15:01 simple 0.1.0 -> qmap 0.1.0: good, gap 4.2 ms, 153 tasks moved
STATISTICS   NOW                               TOTAL
queued     500/s                    █▅  26 066 tasks  what queued counts
depth          6                    ██                how many wait
never        0/s                    ▁▁       0 tasks  what never counts
EVENTS (times in UTC)
10:15:01  good: qmap 0.1.0
10:15:02  good: trunk 0.1.0






said
s swap  p stop  r resume  j/k seat  e events  ? help  q quit
)");
}

TEST(TopView, OnASmallOneWithoutUnicode) {
    EXPECT_EQ(draw(model_of(top_tree()), at("games"), 40, 10, /*unicode=*/false),
              R"(scxhost top  host 812, scxhost 0.1.0, L~
  SEAT         SCHEDULER     PHASE
  machine      trunk 0.1.0   good
>   games      qmap 0.1.0    good
kernel  enabled: qmap_2f6d1c0a9be45d77
STATISTICS NOW
local      1/s                     #
10:15:02  good: trunk 0.1.0

s p r  j/k  e  ? help  q quit
)");
}

// Whatever is shown stays in its place.
TEST(TopView, EveryPictureFitsItsTerminal) {
    json hostile = top_tree();
    for (json* seat : {&hostile["status"], &hostile["below"][0]["status"], &hostile["below"][1]["status"]}) {
        for (const char* key : {"phase", "version", "preparing", "kept", "waits_for", "cgroup"})
            (*seat)[key] = kHostile + std::string(500, 'x');
        (*seat)["scheduler"]["title"] = std::string(300, 'y') + kHostile;
        (*seat)["kernel"]["ops"] = kHostile;
        (*seat)["last_swap"] = {{"from", kHostile}, {"to", kHostile}, {"outcome", kHostile}};
    }
    hostile["below"][1]["status"]["seat"] = kHostile + std::string(200, 'z');
    for (int i = 0; i < 60; ++i) {
        hostile["stats"]["statistics"].push_back(top_counter(std::string(50, 'n') + kHostile, 1 << i % 31, 1e300));
        hostile["below"].push_back(top_branch("b" + std::to_string(i), "machine", kHostile, "good"));
        hostile["kernel_events"]["SCX_EV_" + std::to_string(i) + kHostile] = i;
    }
    TopModel crowded = model_of(hostile);
    for (int i = 0; i < 60; ++i)
        crowded.take_event({{"event", kHostile}, {"time", kHostile}, {"title", kHostile}});
    TopModel gone = model_of(top_tree());
    gone.lose({.kind = ErrorKind::kNoHost, .what = kHostile, .hint = std::string(300, 'h')});
    const TopModel simple = model_of(top_tree());
    const TopModel silent;

    std::vector<TopState> states = {at("machine"), at("b59"), at("nobody")};
    const auto add = [&states](const auto& change) {
        states.push_back(at("machine"));
        change(states.back());
    };
    add([](TopState& state) { state.help = true; });
    add([](TopState& state) { state.large_events = true; });
    add([](TopState& state) { state.scroll = 100000; });
    add([](TopState& state) { state.message = {std::string(900, 'm') + " " + kHostile, TopStyle::kBad}; });
    add([](TopState& state) { state.asking = TopState::Asking::kWhat; });
    add([](TopState& state) {
        state.asking = TopState::Asking::kWhat;
        state.typed = std::string(300, 't');
        state.known.resize(50, {std::string(99, 'w'), kHostile});
        state.choice = 40;
    });
    add([](TopState& state) {
        state.asking = TopState::Asking::kWhether;
        state.question = std::string(900, 'q') + " y/n";
    });
    const std::pair<std::size_t, std::size_t> sizes[] = {{80, 24}, {40, 10},  {200, 50}, {41, 11},
                                                         {60, 15}, {79, 200}, {500, 10}};
    for (const auto& [columns, lines] : sizes)
        for (const TopModel* model : std::initializer_list<const TopModel*>{&crowded, &simple, &gone, &silent})
            for (const TopState& state : states)
                for (const bool unicode : {true, false}) {
                    const TopPicture picture = draw_top(*model, state, {.columns = columns, .lines = lines}, unicode);
                    ASSERT_EQ(picture.lines.size(), lines);
                    for (const TopLine& line : picture.lines) {
                        const std::string text = text_of(line);
                        ASSERT_LE(columns_of(text), columns) << text;
                        ASSERT_EQ(text, printable(text));
                        ASSERT_EQ(text.find_first_of("\n\t"), std::string::npos) << text;
                        ASSERT_TRUE(unicode || std::ranges::all_of(text, [](char c) { return c >= 0x20; })) << text;
                    }
                    if (picture.cursor) {
                        ASSERT_LT(picture.cursor->line, lines);
                        ASSERT_LT(picture.cursor->column, columns);
                    }
                }
}

TEST(TopView, ATerminalThatIsTooSmallIsTold) {
    EXPECT_THAT(draw(model_of(top_tree()), at("machine"), 39, 24), HasSubstr("39x24; scxhost top"));
    EXPECT_THAT(draw(model_of(top_tree()), at("machine"), 80, 9), HasSubstr("needs 40x10"));
    for (std::size_t columns = 1; columns < 5; ++columns)
        for (std::size_t lines = 1; lines < 5; ++lines)
            EXPECT_EQ(draw_top(TopModel(), at(""), {.columns = columns, .lines = lines}, true).lines.size(), lines);
}

TEST(TopView, AsPlainTextItHasAllAndNoKeys) {
    json answer = top_tree();
    for (int i = 0; i < 100; ++i)
        answer["below"].push_back(top_branch("b" + std::to_string(i), "machine", "qmap 0.1.0", "good"));
    const TopPicture picture = draw_top(model_of(answer), at("machine"), {.columns = 80, .lines = {}}, true);
    const std::string text = picture_text(picture);
    for (const char* part : {"b99 ", "never", "how many wait", "10:15:02  good: trunk"})
        EXPECT_THAT(text, HasSubstr(part));
    EXPECT_THAT(text, Not(HasSubstr("q quit")));
    EXPECT_FALSE(std::ranges::any_of(picture.lines, &TopLine::marked));
}

TEST(TopView, TheSeatThatIsLookedAtIsInSight) {
    json answer = top_tree();
    for (int i = 0; i < 100; ++i)
        answer["below"].push_back(top_branch("b" + std::to_string(i), "machine", "qmap 0.1.0", "good"));
    for (const char* seat : {"machine", "b0", "b50", "b99"})
        EXPECT_THAT(draw(model_of(answer), at(seat), 80, 24), testing::ContainsRegex(std::string("> +") + seat + " "));
}

TEST(TopView, WhatIsAsked) {
    TopState state = at("games");
    state.asking = TopState::Asking::kWhat;
    EXPECT_THAT(draw(model_of(top_tree()), state, 80, 24),
                HasSubstr("> "
                          "        (what the configuration says)\n  qmap    five queues\n  simple  one queue\n"
                          "swap games to:\nEnter takes the marked one, Esc leaves\n"));
    state.typed = "si";
    const TopPicture picture = draw_top(model_of(top_tree()), state, {.columns = 80, .lines = 24}, true);
    ASSERT_TRUE(picture.cursor);
    EXPECT_EQ(picture.cursor->line, 22U);
    EXPECT_EQ(picture.cursor->column, std::string("swap games to: si").size());
    state.asking = TopState::Asking::kWhether;
    state.question = "swap games from qmap 0.1.0 to simple? y/n";
    EXPECT_THAT(draw(model_of(top_tree()), state, 80, 24), HasSubstr(state.question + "\ny yes, any other key no\n"));
}

TEST(TopView, TroubleIsShown) {
    TopModel model = model_of(top_tree());
    model.trouble({.kind = ErrorKind::kUsage, .what = "there is no method metrics"});
    EXPECT_THAT(draw(model, at("machine"), 120, 24), HasSubstr("Linux 7.3.4  there is no method metrics"));
    model.lose({.kind = ErrorKind::kNoHost, .what = "the host has ended", .hint = "its log says why"});
    const std::string text = draw(model, at("machine"), 80, 24);
    EXPECT_THAT(text, HasSubstr("the host has ended; its log says why"));
    EXPECT_THAT(text, HasSubstr("It is looked for again"));
    EXPECT_THAT(text, HasSubstr("10:15:02  good: trunk")) << "what happened stays";
    EXPECT_THAT(text, Not(HasSubstr("machine")));
}

TEST(TopView, ScrollingHasAnEnd) {
    TopModel model = model_of(top_tree());
    for (int i = 0; i < 40; ++i)
        model.take_event(top_settled("10:16:00", "qmap " + std::to_string(i), "good"));
    TopState state = at("machine");
    state.large_events = true;
    EXPECT_THAT(draw(model, state, 80, 24), HasSubstr("good: qmap 39\n"));
    state.scroll = 1000;
    const TopPicture picture = draw_top(model, state, {.columns = 80, .lines = 24}, true);
    EXPECT_THAT(picture_text(picture), HasSubstr("10:15:01  good: qmap 0.1.0\n"));
    EXPECT_THAT(picture_text(picture), Not(HasSubstr("qmap 39")));
    EXPECT_LT(picture.scroll, 40U);
    state.large_events = false;
    EXPECT_EQ(draw_top(model, state, {.columns = 80, .lines = 24}, true).scroll, 0U) << "all statistics are in sight";
}

TEST(TopView, Sparklines) {
    EXPECT_EQ(sparkline({}, 10, true), "");
    EXPECT_EQ(sparkline({0, 0}, 10, true), "▁▁");
    EXPECT_EQ(sparkline({0, 1, 50, 100}, 10, true), "▁▂▅█");
    EXPECT_EQ(sparkline({0, 1, 50, 100}, 10, false), "_.=#");
    EXPECT_EQ(sparkline({100, 0, 1, 2}, 2, true), "▅█") << "the latest, by themselves";
    EXPECT_EQ(sparkline({-5, 5}, 10, true), "▁█");
    EXPECT_EQ(sparkline({-5, -5}, 10, true), "▁▁");
}

} // namespace
} // namespace scxhost
