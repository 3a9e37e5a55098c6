// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/top_keys.hpp"
#include "tests/unit/top_answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using Asking = TopState::Asking;
using Kind = TopKey::Kind;

class TopKeys : public testing::Test {
protected:
    TopKeys() {
        model_.take(top_tree(), TopModel::Reading::kNext);
        state_.known = {{"qmap", "five queues"}, {"simple", "one queue"}};
        keep_seat(state_, model_);
    }

    TopAction press_key(Kind kind) { return press(state_, model_, {.kind = kind, .text = {}}); }
    // The last one's.
    TopAction type(std::string_view text) {
        TopAction action;
        for (const char c : text)
            action = press(state_, model_, {.kind = Kind::kText, .text = std::string(1, c)});
        return action;
    }
    std::vector<std::string> words() {
        std::vector<std::string> result;
        for (const TopChoice& choice : choices(state_))
            result.push_back(choice.word);
        return result;
    }

    TopModel model_;
    TopState state_;
};

TEST_F(TopKeys, SeatsAreChosenUpAndDown) {
    EXPECT_EQ(state_.seat, "machine");
    type("k");
    EXPECT_EQ(state_.seat, "machine");
    type("j");
    EXPECT_EQ(state_.seat, "games");
    press_key(Kind::kDown);
    EXPECT_EQ(state_.seat, "shooters");
    type("j");
    EXPECT_EQ(state_.seat, "shooters");
    press_key(Kind::kUp);
    EXPECT_EQ(state_.seat, "games");
}

TEST_F(TopKeys, ASwapIsAskedForAfterAQuestion) {
    type("js");
    EXPECT_EQ(state_.asking, Asking::kWhat);
    EXPECT_THAT(words(), ElementsAre("", "qmap", "simple"));
    EXPECT_FALSE(type("si").request);
    EXPECT_THAT(words(), ElementsAre("simple", "si"));
    EXPECT_FALSE(press_key(Kind::kEnter).request);
    EXPECT_EQ(state_.asking, Asking::kWhether);
    EXPECT_EQ(state_.question, "swap games from qmap 0.1.0 to simple? y/n");
    const TopAction action = type("y");
    ASSERT_TRUE(action.request);
    EXPECT_EQ(action.request->method, "swap");
    EXPECT_EQ(action.request->params, json({{"at", "games"}, {"what", "simple"}, {"wait", true}}));
    EXPECT_EQ(state_.asking, Asking::kNothing);
    EXPECT_EQ(state_.message.text, "swap games to simple: asked");
}

TEST_F(TopKeys, NoOtherKeyIsAYes) {
    for (const char* key : {"n", "q", "s", " ", "j"}) {
        type("jp");
        ASSERT_EQ(state_.asking, Asking::kWhether);
        const TopAction action = type(key);
        EXPECT_FALSE(action.request) << key;
        EXPECT_FALSE(action.quit) << key;
        EXPECT_EQ(state_.message.text, "nothing was changed");
        EXPECT_EQ(state_.asking, Asking::kNothing);
        EXPECT_EQ(state_.request.method, "");
        type("k");
    }
    for (const Kind kind : {Kind::kEnter, Kind::kEscape, Kind::kUp, Kind::kBackspace}) {
        type("p");
        EXPECT_FALSE(press_key(kind).request);
    }
    EXPECT_FALSE(type("y").request) << "nothing is asked any more";
}

TEST_F(TopKeys, OfTheMachineNoSeatIsNamed) {
    type("s");
    press_key(Kind::kDown);
    press_key(Kind::kEnter);
    EXPECT_EQ(state_.question, "swap machine from trunk 0.1.0 to qmap? y/n");
    const TopAction action = type("y");
    ASSERT_TRUE(action.request);
    EXPECT_EQ(action.request->params, json({{"what", "qmap"}, {"wait", true}}));
}

TEST_F(TopKeys, TheConfigurationsOwnIsNamedByNothing) {
    type("s");
    press_key(Kind::kEnter);
    EXPECT_EQ(state_.question, "swap machine from trunk 0.1.0 to what the configuration says? y/n");
    EXPECT_EQ(type("y").request.value_or(TopRequest()).params, json({{"wait", true}}));
}

TEST_F(TopKeys, WhatIsTypedIsTakenWhereNothingElseIsMarked) {
    type("sdir/x.toml");
    EXPECT_EQ(state_.typed, "dir/x.toml");
    EXPECT_THAT(words(), ElementsAre("dir/x.toml"));
    press_key(Kind::kEnter);
    const TopAction action = type("y");
    ASSERT_TRUE(action.request);
    EXPECT_THAT(action.request->params.at("what").get<std::string>(), StartsWith("/"));
    EXPECT_THAT(action.request->params.at("what").get<std::string>(), testing::EndsWith("dir/x.toml"));
    // A name that others begin with.
    type("sqma");
    press_key(Kind::kDown);
    press_key(Kind::kDown);
    press_key(Kind::kEnter);
    EXPECT_THAT(state_.question, HasSubstr("to qma?"));
    press_key(Kind::kEscape);
    // 'q' and all the others are text here.
    EXPECT_FALSE(type("sq").quit);
    EXPECT_EQ(state_.typed, "q");
}

TEST_F(TopKeys, TypingIsTakenBack) {
    type("s");
    (void)press(state_, model_, {.kind = Kind::kText, .text = "a"});
    (void)press(state_, model_, {.kind = Kind::kText, .text = "ä"});
    press_key(Kind::kBackspace);
    EXPECT_EQ(state_.typed, "a");
    press_key(Kind::kBackspace);
    press_key(Kind::kBackspace);
    EXPECT_EQ(state_.typed, "");
    press_key(Kind::kEscape);
    EXPECT_EQ(state_.asking, Asking::kNothing);
}

TEST_F(TopKeys, StopAndResume) {
    type("jp");
    EXPECT_EQ(state_.question, "stop games (qmap 0.1.0) and give its tasks to the scheduler above? y/n");
    const TopAction stop = type("y");
    ASSERT_TRUE(stop.request);
    EXPECT_EQ(stop.request->method, "stop");
    EXPECT_EQ(stop.request->params, json({{"at", "games"}}));
    type("kr");
    const TopAction resume = type("y");
    ASSERT_TRUE(resume.request);
    EXPECT_EQ(resume.request->method, "resume");
    EXPECT_EQ(resume.request->params, json::object());
}

TEST_F(TopKeys, AQuestionAboutASeatThatIsGoneIsTakenBack) {
    type("js");
    json answer = top_tree();
    answer["below"] = json::array();
    model_.take(answer, TopModel::Reading::kNext);
    keep_seat(state_, model_);
    EXPECT_EQ(state_.asking, Asking::kNothing);
    EXPECT_EQ(state_.seat, "machine");
    EXPECT_EQ(state_.message.text, "there is no games now: this is machine");
    type("p");
    model_.lose({.kind = ErrorKind::kNoHost, .what = "gone"});
    keep_seat(state_, model_);
    EXPECT_EQ(state_.asking, Asking::kNothing);
    EXPECT_FALSE(type("y").request);
    type("s");
    EXPECT_EQ(state_.message.text, "there is no host to ask");
    EXPECT_EQ(state_.seat, "machine") << "for the next host";
}

TEST_F(TopKeys, HelpEventsAndTheEnd) {
    type("?");
    EXPECT_TRUE(state_.help);
    EXPECT_FALSE(type("q").quit) << "a key leaves the help, and does nothing else";
    EXPECT_FALSE(state_.help);
    press_key(Kind::kPageDown);
    EXPECT_GT(state_.scroll, 0U);
    press_key(Kind::kPageUp);
    press_key(Kind::kPageUp);
    EXPECT_EQ(state_.scroll, 0U);
    type("e");
    EXPECT_TRUE(state_.large_events);
    press_key(Kind::kPageUp);
    EXPECT_GT(state_.scroll, 0U) << "older ones stand above";
    type("e");
    EXPECT_FALSE(state_.large_events);
    EXPECT_EQ(state_.scroll, 0U);
    type("x");
    EXPECT_THAT(state_.message.text, HasSubstr("?"));
    press_key(Kind::kEscape);
    EXPECT_EQ(state_.message.text, "");
    EXPECT_TRUE(type("q").quit);
}

} // namespace
} // namespace scxhost
