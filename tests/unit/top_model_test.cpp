// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/terminal.hpp"
#include "host/cli/top_model.hpp"
#include "tests/unit/top_answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using Reading = TopModel::Reading;

TopModel model_of(const json& answer) {
    TopModel model;
    model.take(answer, Reading::kNext);
    return model;
}

TEST(TopModel, EachBranchStandsBelowWhatItIsBelow) {
    const TopModel model = model_of(top_tree());
    ASSERT_THAT(model.seats(), SizeIs(3));
    EXPECT_EQ(model.seats()[0].name, "machine");
    EXPECT_EQ(model.seats()[1].name, "games");
    EXPECT_EQ(model.seats()[1].depth, 1U);
    EXPECT_EQ(model.seats()[1].title, "qmap 0.1.0");
    EXPECT_EQ(model.seats()[1].tasks, 12U);
    EXPECT_EQ(model.seats()[2].name, "shooters");
    EXPECT_EQ(model.seats()[2].depth, 2U);
    EXPECT_EQ(model.seats()[2].title, "");
    EXPECT_FALSE(model.seats()[2].running);
    EXPECT_EQ(model.host(), "host 812, scxhost 0.1.0, Linux 7.3.4");
    EXPECT_TRUE(model.connected());
}

TEST(TopModel, BranchesThatNameEachOtherComeOnce) {
    json answer = top_tree();
    answer["below"] = {top_branch("a", "b", "", "waiting"), top_branch("b", "a", "", "waiting"),
                       top_branch("c", "c", "", "waiting"), top_branch("a", "machine", "", "waiting")};
    std::vector<std::string> names;
    const TopModel model = model_of(answer); // the seats live in it
    for (const TopSeat& seat : model.seats())
        names.push_back(seat.name);
    EXPECT_THAT(names, ElementsAre("machine", "a", "b", "a", "c"));
}

TEST(TopModel, HistoriesGoOnWithEachReadingAndEndWithTheRun) {
    json answer = top_tree();
    json& queued = answer["stats"]["statistics"][1];
    TopModel model = model_of(answer);
    queued["rate"] = 2000;
    model.take(answer, Reading::kNext);
    EXPECT_THAT(model.seats()[0].statistics[1].history, ElementsAre(1000, 2000));
    EXPECT_THAT(model.seats()[0].statistics[2].history, ElementsAre(6, 6)) << "a gauge's are its values";
    queued["rate"] = 3000;
    model.take(answer, Reading::kAgain);
    EXPECT_THAT(model.seats()[0].statistics[1].history, ElementsAre(1000, 3000));
    answer["status"]["scheduler"]["enable_seq"] = 8;
    model.take(answer, Reading::kNext);
    EXPECT_THAT(model.seats()[0].statistics[1].history, ElementsAre(3000));
    for (std::size_t i = 0; i < 2 * TopModel::kHistory; ++i)
        model.take(answer, Reading::kNext);
    EXPECT_THAT(model.seats()[0].statistics[1].history, SizeIs(TopModel::kHistory));
}

TEST(TopModel, TheKernelsCountersGrow) {
    json answer = top_tree();
    json& exiting = answer["kernel_events"]["SCX_EV_ENQ_SKIP_EXITING"];
    TopModel model = model_of(answer);
    EXPECT_THAT(model.seats()[0].kernel_events[0].growth, IsEmpty()) << "nothing is known of what was before";
    exiting = 7;
    model.take(answer, Reading::kNext);
    exiting = 10;
    model.take(answer, Reading::kAgain);
    EXPECT_THAT(model.seats()[0].kernel_events[0].growth, ElementsAre(5)) << "what came early counts";
    model.take(answer, Reading::kNext);
    EXPECT_THAT(model.seats()[0].kernel_events[0].growth, ElementsAre(5, 0));
    EXPECT_EQ(model.seats()[0].kernel_events[0].value, 10);
}

TEST(TopModel, EventsAreTakenOnceAndSwapsAreRemembered) {
    TopModel model;
    const json kept = {{"events", {top_settled("10:15:01", "qmap 0.1.0", "good")}}};
    model.take_events(kept);
    json failed = top_settled("10:15:02", "trunk 0.1.0", "rolled-back");
    failed["running"] = "qmap 0.1.0";
    failed["error"] = {{"kind", "ejected"}, {"message", "it left"}, {"hint", "look there"}};
    model.take_event(failed);
    model.tell("10:15:03", {"said\nhere", TopStyle::kBad});
    model.take_events(kept); // as after a connection that was lost
    ASSERT_THAT(model.events(), SizeIs(3));
    EXPECT_EQ(model.events()[0].time, "10:15:01");
    EXPECT_EQ(model.events()[0].note.text, "good: qmap 0.1.0");
    EXPECT_EQ(model.events()[1].note.text, "rolled back: trunk 0.1.0 failed, qmap 0.1.0 runs again");
    EXPECT_EQ(model.events()[1].note.style, TopStyle::kWarning);
    EXPECT_EQ(model.events()[2].note.text, "said here");
    model.take(top_tree(), Reading::kNext);
    const std::deque<TopNote>& swaps = model.seats()[0].swaps;
    ASSERT_THAT(swaps, SizeIs(2));
    EXPECT_EQ(swaps[0].text, "10:15:02 simple 0.1.0 -> trunk 0.1.0: rolled-back, gap 4.2 ms, 153 tasks moved: it left; "
                             "look there");
    EXPECT_EQ(swaps[1].text, "10:15:01 simple 0.1.0 -> qmap 0.1.0: good, gap 4.2 ms, 153 tasks moved");
    EXPECT_THAT(model.seats()[1].swaps, IsEmpty());
}

TEST(TopModel, ASwapThatIsUnderWayOrWhoseEventsAreNotShownComesFromTheStatus) {
    json answer = top_tree();
    answer["status"]["last_swap"] = {{"from", "simple 0.1.0"}, {"to", "qmap 0.1.0"}, {"outcome", "good"}};
    EXPECT_EQ(model_of(answer).seats()[0].swaps.front().text, "simple 0.1.0 -> qmap 0.1.0: good");
    TopModel model;
    model.take_event(top_settled("10:15:01", "qmap 0.1.0", "good"));
    model.take(answer, Reading::kNext);
    EXPECT_THAT(model.seats()[0].swaps, SizeIs(1)) << "it is that one";
    answer["status"]["last_swap"]["outcome"] = "on-probation";
    model.take(answer, Reading::kNext);
    EXPECT_THAT(model.seats()[0].swaps, SizeIs(2));
    EXPECT_THAT(model.seats()[0].swaps.front().text, HasSubstr("on-probation"));
}

TEST(TopModel, WhatElseIsToKnow) {
    json answer = top_tree();
    json& status = answer["status"];
    status["agrees"] = false;
    status["preparing"] = "simple";
    status["kept"] = "old 1";
    status["stood_down"] = {{"reason", "operator"}, {"message", "stopped by the operator"}};
    status["quarantine"] = {{{"title", "bad 1"}, {"reason", "it hung"}}};
    status["scheduler"]["plugin_hangs"] = {{"callback", "tick"}, {"seconds", 3.0}};
    std::string text;
    const TopModel model = model_of(answer);
    for (const TopNote& note : model.seats()[0].notes)
        text += note.text + "\n";
    for (const char* part : {"they differ", "preparing: simple", "kept loaded: old 1", "stopped by the operator",
                             "quarantined: bad 1: it hung", "plugin hangs: in tick, for 3.0 s"})
        EXPECT_THAT(text, HasSubstr(part));
}

TEST(TopModel, AHostThatIsGoneLeavesWhatHappened) {
    TopModel model = model_of(top_tree());
    model.take_event(top_settled("10:15:01", "qmap 0.1.0", "good"));
    model.lose({.kind = ErrorKind::kNoHost, .what = "the host has ended", .hint = "its log says why"});
    EXPECT_FALSE(model.connected());
    EXPECT_THAT(model.seats(), IsEmpty());
    EXPECT_EQ(model.trouble(), "the host has ended; its log says why");
    EXPECT_THAT(model.events(), SizeIs(1));
    model.take(top_tree(), Reading::kNext);
    EXPECT_TRUE(model.connected());
    EXPECT_EQ(model.trouble(), "");
    EXPECT_THAT(model.seats()[0].statistics[1].history, SizeIs(1)) << "of another host";
}

TEST(TopModel, TheLogHasAnEnd) {
    TopModel model;
    for (std::size_t i = 0; i < TopModel::kEventLines + 5; ++i)
        model.take_event(top_settled("10:15:01", "qmap " + std::to_string(i), "good"));
    EXPECT_THAT(model.events(), SizeIs(TopModel::kEventLines));
    EXPECT_EQ(model.events().front().note.text, "good: qmap 5");
    model.take(top_tree(), Reading::kNext);
    EXPECT_THAT(model.seats()[0].swaps, SizeIs(TopModel::kSwaps));
}

// An answer of another version, or of somebody else.
TEST(TopModel, WhatIsNotUnderstoodReadsAsEmpty) {
    for (const json& odd : {json(nullptr), json(7), json::array({1, "a"}), json::object({{"status", 5}, {"below", 5}}),
                            json::object({{"status", {{"seat", 5}, {"scheduler", "x"}, {"kernel", "y"}}},
                                          {"below", {1, "a", nullptr, json::array()}},
                                          {"stats", {{"statistics", {1, "a", nullptr}}}},
                                          {"kernel_events", {{"a", "b"}, {"c", 1.5}}}})}) {
        TopModel model = model_of(odd);
        model.take(odd, Reading::kNext);
        model.take_events(odd);
        model.take_event(odd);
        EXPECT_EQ(model.seats()[0].title, "") << odd;
    }
}

TEST(TopModel, TextsAreHarmlessLines) {
    json answer = top_tree();
    answer["status"] = top_status(kHostile, kHostile, kHostile);
    answer["status"]["preparing"] = kHostile;
    answer["stats"]["statistics"][0]["name"] = kHostile;
    answer["kernel_events"][kHostile] = 1;
    const TopModel model = model_of(answer);
    const TopSeat& seat = model.seats()[0];
    for (const std::string& text : {seat.name, seat.title, seat.phase, seat.kernel, seat.notes.at(0).text,
                                    seat.statistics.at(0).name, seat.kernel_events.at(2).name}) {
        EXPECT_EQ(text, printable(text));
        EXPECT_THAT(text, Each(Not(testing::AnyOf('\n', '\t', '\033'))));
    }
}

TEST(TopModel, Ages) {
    EXPECT_EQ(short_age(-5s), "0s");
    EXPECT_EQ(short_age(59900ms), "59s");
    EXPECT_EQ(short_age(125s), "2m05s");
    EXPECT_EQ(short_age(3h + 12min + 59s), "3h12m");
    EXPECT_EQ(short_age(99h), "4d03h");
}

TEST(TopModel, AnswersToRequests) {
    EXPECT_EQ(request_note({{"phase", "stopped"}}).text, "taken; it is stopped now");
    const TopNote refused = request_note({{"from", nullptr},
                                          {"to", "qmap"},
                                          {"outcome", "refused"},
                                          {"error", {{"kind", "config"}, {"message", "no such option"}}}});
    EXPECT_EQ(refused.text, "(kernel's own) -> qmap: refused: no such option");
    EXPECT_EQ(refused.style, TopStyle::kWarning);
}

} // namespace
} // namespace scxhost
