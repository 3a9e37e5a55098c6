// SPDX-License-Identifier: GPL-2.0-only
//
// Every decision of the supervisor, with a clock that the test turns. Plays the supervisor's part: carries out what the
// lifecycle asks for, in a world where the test decides what works.
#include "host/supervisor/lifecycle.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Cause = event::SwitchFailed::Cause;

constexpr SchedulerId kA = 1;
constexpr SchedulerId kB = 2;
constexpr SchedulerId kC = 3;
constexpr SchedulerId kFallback = 10;

// How an attach fails in the test's world.
struct Refusal {
    Refusal(Cause cause) // NOLINT(google-explicit-constructor): for lists of causes
        : cause(cause) {}
    Refusal(LeaveClass exit) // NOLINT(google-explicit-constructor)
        : cause(Cause::kExit)
        , exit(exit) {}
    Cause cause;
    LeaveClass exit = LeaveClass::kError;
};

// What runs, what is loaded and who was answered, as the lifecycle's actions make it. As unkind as the machine: the
// worker has a queue, and prepares to the end what nobody waits for any more; what runs may leave at each step of a
// switch.
class World {
public:
    explicit World(
        LifecycleSettings settings = {}, std::function<double()> random = [] { return 0.5; })
        : lifecycle(settings, std::move(random)) {}

    void tell(const Event& event) {
        for (const Action& action : lifecycle.handle(event, now))
            std::visit([this](const auto& step) { carry_out(step); }, action);
        // A switch is answered at once, before anything else happens.
        if (const std::optional<SchedulerId> to = std::exchange(switch_to, std::nullopt))
            finish_switch(*to);
    }

    // The worker has finished the job at this place of its queue.
    void deliver(std::size_t place, bool success) {
        const action::Prepare job = queue.at(place);
        queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(place));
        if (!lifecycle.awaits(job.ticket))
            return;
        if (!success)
            return tell(event::PrepareFailed{job.ticket});
        EXPECT_TRUE(loaded.insert(job.id).second) << job.id << " is loaded over what is loaded";
        tell(event::Prepared{job.ticket, identity_of(job.id)});
    }
    // What is waited for; the queue ends with it.
    [[nodiscard]] std::optional<SchedulerId> preparing() const {
        return !queue.empty() && lifecycle.awaits(queue.back().ticket) ? std::optional(queue.back().id) : std::nullopt;
    }
    void finish_preparing(bool success) {
        ASSERT_TRUE(preparing());
        while (queue.size() > 1)
            deliver(0, true);
        deliver(0, success);
    }
    void prepared() { finish_preparing(true); }
    void preparation_fails() { finish_preparing(false); }
    void left(LeaveClass why, bool overtaken = false) {
        ASSERT_TRUE(running);
        running.reset();
        tell(event::Left{why, overtaken, "it left"});
    }
    void delay_passes() {
        ASSERT_TRUE(delay);
        now += *std::exchange(delay, std::nullopt);
        tell(event::DelayOver{});
    }
    // The scheduler above leaves, or the cgroup goes: the seat detaches what runs first, unless it had left.
    void lose_place() {
        has_place = false;
        tell(event::PlaceLost{.detached = std::exchange(running, std::nullopt).has_value()});
    }
    void find_place() {
        has_place = true;
        tell(event::PlaceFound{});
    }
    void start(SchedulerId id) {
        tell(event::Requested{id});
        prepared();
        ASSERT_EQ(running, id);
        if (lifecycle.phase() == Phase::kProbation)
            tell(event::ProbationOver{});
        ASSERT_EQ(lifecycle.phase(), Phase::kGood);
        log.clear();
    }
    // Requests whose numbers differ by hundreds are for the same build with the same options.
    [[nodiscard]] static SchedulerIdentity identity_of(SchedulerId id) {
        return {.build = fmt::format("build-{}", id % 10), .options = fmt::format("{}", id % 100), .title = {}};
    }
    [[nodiscard]] bool quarantined(SchedulerId id) const {
        return lifecycle.find_quarantined(identity_of(id)) != nullptr;
    }

    Lifecycle lifecycle;
    Lifecycle::Time now;
    std::vector<action::Prepare> queue; // the worker's, the oldest first
    std::optional<SchedulerId> running;
    std::set<SchedulerId> loaded;
    std::optional<std::chrono::nanoseconds> delay;
    std::vector<std::string> log;                         // what happened, in words
    std::map<SchedulerId, SwapOutcome> settled;           // who asked, and the answer
    std::map<SchedulerId, std::vector<Refusal>> refusals; // attach failures to come
    std::optional<event::Left> leaves_in_switch;          // what runs has left when the next switch begins
    bool restore_works = true;
    bool has_place = true;

private:
    void finish_switch(SchedulerId to) {
        std::optional<event::Left> previous;
        if (running)
            previous = std::exchange(leaves_in_switch, std::nullopt);
        if (previous)
            running.reset();
        auto& coming = refusals[to];
        if (coming.empty()) {
            running = to;
            log.push_back(fmt::format("run {}", to));
            return tell(event::Switched{previous});
        }
        const Refusal refusal = coming.front();
        coming.erase(coming.begin());
        const bool restored = running.has_value() && restore_works;
        if (!restored)
            running.reset();
        log.push_back(fmt::format("fail {}", to));
        tell(event::SwitchFailed{refusal.cause, refusal.exit, restored, "it failed", previous});
    }
    void carry_out(const action::Prepare& step) {
        queue.push_back(step);
        log.push_back(fmt::format("prepare {}", step.id));
    }
    void carry_out(const action::Switch& step) {
        EXPECT_TRUE(loaded.contains(step.to)) << "switch to " << step.to << ", which is not loaded";
        EXPECT_FALSE(switch_to);
        EXPECT_TRUE(has_place) << "switch to " << step.to << ", for which there is no place";
        switch_to = step.to;
    }
    void carry_out(const action::Detach&) {
        EXPECT_TRUE(running);
        running.reset();
        log.emplace_back("detach");
    }
    void carry_out(const action::Release& step) {
        EXPECT_NE(running, step.id) << "released while it runs";
        loaded.erase(step.id);
    }
    void carry_out(const action::StartProbation&) { log.emplace_back("probation"); }
    void carry_out(const action::StartDelay& step) {
        delay = step.delay;
        log.push_back(
            fmt::format("wait {}ms", std::chrono::duration_cast<std::chrono::milliseconds>(step.delay).count()));
    }
    void carry_out(const action::Quarantine& step) {
        EXPECT_EQ(step.entry.identity, identity_of(step.id));
        log.push_back(fmt::format("quarantine {}", step.id));
    }
    void carry_out(const action::Settle& step) {
        EXPECT_FALSE(settled.contains(step.id)) << step.id << " was answered twice";
        settled[step.id] = step.outcome;
        log.push_back(fmt::format("answer {} {}", step.id, to_string(step.outcome)));
    }
    void carry_out(const action::StandDown& step) {
        log.push_back(fmt::format("stand down: {}", to_string(step.reason)));
    }

    std::optional<SchedulerId> switch_to;
};

TEST(LifecycleTest, StartsThenProvesItself) {
    World world;
    world.tell(event::Requested{kA});
    world.prepared();
    EXPECT_EQ(world.lifecycle.phase(), Phase::kProbation);
    world.tell(event::ProbationOver{});
    EXPECT_EQ(world.lifecycle.phase(), Phase::kGood);
    EXPECT_THAT(world.log, ElementsAre("prepare 1", "run 1", "probation", "answer 1 good"));
}

TEST(LifecycleTest, WithoutProbationItIsGoodAtOnce) {
    World world({.probation = 0s});
    world.start(kA);
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_THAT(world.log, ElementsAre("prepare 2", "run 2", "answer 2 good"));
    EXPECT_THAT(world.loaded, ElementsAre(kB));
}

TEST(LifecycleTest, SwapKeepsTheOldOneForProbationOnly) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    EXPECT_EQ(world.running, kA);
    world.prepared();
    EXPECT_EQ(world.running, kB);
    EXPECT_THAT(world.loaded, ElementsAre(kA, kB));
    EXPECT_EQ(world.lifecycle.last_good(), kA);
    world.tell(event::ProbationOver{});
    EXPECT_THAT(world.loaded, ElementsAre(kB));
    EXPECT_EQ(world.settled[kB], SwapOutcome::kGood);
    EXPECT_EQ(world.lifecycle.last_good(), kA) << "it can still be loaded anew";
}

TEST(LifecycleTest, WhatCannotBePreparedTouchesNothing) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.preparation_fails();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kGood);
    EXPECT_THAT(world.log, ElementsAre("prepare 2", "answer 2 refused"));
}

TEST(LifecycleTest, FailedAttachLeavesTheOldOneRunning) {
    World world;
    world.start(kA);
    world.refusals[kB] = {Cause::kRefused};
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kGood);
    EXPECT_THAT(world.loaded, ElementsAre(kA));
    EXPECT_THAT(world.log, ElementsAre("prepare 2", "fail 2", "quarantine 2", "answer 2 rolled-back"));
}

TEST(LifecycleTest, FailedAttachAndFailedReturnLoadsTheOldOneAnew) {
    World world;
    world.start(kA);
    world.refusals[kB] = {Cause::kRefused};
    world.restore_works = false;
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_EQ(world.lifecycle.phase(), Phase::kRecovering);
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.settled[kB], SwapOutcome::kRolledBack);
}

TEST(LifecycleTest, ErrorOnProbationBringsTheOldOneBackAtOnce) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.prepared();
    world.log.clear();
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kGood);
    EXPECT_THAT(world.log, ElementsAre("quarantine 2", "run 1", "answer 2 rolled-back"));
    EXPECT_THAT(world.loaded, ElementsAre(kA));
}

TEST(LifecycleTest, ErrorAfterProbationLoadsTheLastGoodOne) {
    World world;
    world.start(kA);
    world.start(kB);
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kRecovering);
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_THAT(world.log, ElementsAre("quarantine 2", "prepare 1", "run 1", "probation"));
}

TEST(LifecycleTest, FallbacksFollowTheGoodOnesWithGrowingPauses) {
    World world;
    world.lifecycle.set_fallbacks({kFallback, kFallback + 1, kFallback + 2});
    world.start(kA);
    world.left(LeaveClass::kError);
    world.preparation_fails();
    world.delay_passes();
    world.refusals[kFallback + 1] = {Cause::kRefused};
    world.prepared();
    world.delay_passes();
    world.prepared();
    EXPECT_EQ(world.running, kFallback + 2);
    EXPECT_THAT(world.log, ElementsAre("quarantine 1", "prepare 10", "wait 500ms", "prepare 11", "fail 11",
                                       "quarantine 11", "wait 1000ms", "prepare 12", "run 12", "probation"));
}

TEST(LifecycleTest, NothingLeftIsSaid) {
    World world;
    world.start(kA);
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kStoodDown);
    EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kNothingLeft);
    EXPECT_THAT(world.loaded, IsEmpty());
}

TEST(LifecycleTest, FailingStartTriesTheFallbacks) {
    World world;
    world.lifecycle.set_fallbacks({kFallback});
    world.tell(event::Requested{kA});
    world.preparation_fails();
    world.prepared();
    EXPECT_EQ(world.running, kFallback);
    EXPECT_EQ(world.settled[kA], SwapOutcome::kFailed);
}

TEST(LifecycleTest, QuarantinedBuildIsRefusedUnlessForced) {
    World world;
    world.start(kA);
    world.refusals[kB] = {Cause::kRefused};
    world.tell(event::Requested{kB});
    world.prepared();
    const SchedulerId again = kB + 100; // another request for the same build
    world.tell(event::Requested{again});
    world.prepared();
    EXPECT_EQ(world.settled[again], SwapOutcome::kRefused);
    EXPECT_EQ(world.running, kA);
    EXPECT_THAT(world.loaded, ElementsAre(kA));
    world.tell(event::Requested{again + 100, true});
    world.prepared();
    EXPECT_EQ(world.running, again + 100);
    EXPECT_THAT(world.lifecycle.quarantine(), IsEmpty());
}

TEST(LifecycleTest, MachineTroubleDoesNotQuarantine) {
    World world;
    world.start(kA);
    world.refusals[kB] = {Cause::kMachine};
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_EQ(world.settled[kB], SwapOutcome::kRolledBack);
    EXPECT_THAT(world.lifecycle.quarantine(), IsEmpty());
}

TEST(LifecycleTest, RestartsAreAtOnceThenDelayedThenAFailure) {
    World world({.probation = 0s, .failure_limit = 2});
    world.lifecycle.set_fallbacks({kFallback});
    world.start(kA);
    world.left(LeaveClass::kRestart);
    world.prepared();
    world.left(LeaveClass::kRestart);
    world.delay_passes();
    world.prepared();
    EXPECT_EQ(world.running, kA);
    world.left(LeaveClass::kRestart);
    world.prepared();
    EXPECT_EQ(world.running, kFallback);
    EXPECT_THAT(world.log, ElementsAre("prepare 1", "run 1", "wait 500ms", "prepare 1", "run 1", "quarantine 1",
                                       "prepare 10", "run 10"));
}

TEST(LifecycleTest, OldRestartsAreForgotten) {
    World world({.probation = 0s, .failure_limit = 2, .failure_window = 1min});
    world.start(kA);
    for (int i = 0; i < 10; ++i) {
        world.left(LeaveClass::kRestart);
        EXPECT_FALSE(world.delay);
        world.prepared();
        world.now += 2min;
    }
    EXPECT_EQ(world.running, kA);
}

TEST(LifecycleTest, TopologyChangesAreNoFailureButAStormWaits) {
    World world({.probation = 0s});
    world.start(kA);
    for (int i = 0; i < 20; ++i) {
        world.left(LeaveClass::kTopology);
        if (i > 0)
            world.delay_passes();
        EXPECT_EQ(world.preparing(), kA);
        world.prepared();
    }
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.lifecycle.recent_failures(), 0U);
}

// The scheduler above comes back a little later: that is waited for, as often as anything may fail.
TEST(LifecycleTest, ALostPlaceIsTriedAgainWithinTheLimit) {
    World world({.probation = 0s, .failure_limit = 3});
    world.start(kA);
    world.refusals[kA] = {Cause::kPlace, Cause::kPlace};
    world.left(LeaveClass::kTopology);
    world.prepared();
    world.prepared();
    world.delay_passes();
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_THAT(world.log,
                ElementsAre("prepare 1", "fail 1", "prepare 1", "fail 1", "wait 500ms", "prepare 1", "run 1"));

    world.now += 1h;
    world.refusals[kA] = std::vector<Refusal>(4, Cause::kPlace);
    world.left(LeaveClass::kTopology);
    world.prepared();
    world.prepared();
    for (int i = 0; i < 2; ++i) {
        world.delay_passes();
        world.prepared();
    }
    EXPECT_EQ(world.lifecycle.phase(), Phase::kStoodDown);
    EXPECT_THAT(world.loaded, IsEmpty());
}

// Who asks for a place that is not there hears so, and the build is as good as before.
TEST(LifecycleTest, ARequestWithoutAPlaceIsRefusedOnce) {
    World world;
    world.start(kA);
    world.refusals[kB] = {Cause::kPlace};
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.settled[kB], SwapOutcome::kRolledBack);
    EXPECT_THAT(world.lifecycle.quarantine(), IsEmpty());
}

TEST(LifecycleTest, TopologyChangeMakesWhatIsPreparedOutOfDate) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.tell(event::TopologyChanged{});
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.preparing(), kB) << "prepared again";
    world.prepared();
    EXPECT_EQ(world.running, kB);
    // And the kept one.
    world.tell(event::TopologyChanged{});
    EXPECT_FALSE(world.loaded.contains(kA));
    world.prepared();
    EXPECT_TRUE(world.loaded.contains(kA));
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.running, kA);
}

TEST(LifecycleTest, ErrorWhileTheKeptOneIsReloadedWaitsForIt) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.prepared();
    world.tell(event::TopologyChanged{});
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kRecovering);
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.settled[kB], SwapOutcome::kRolledBack);
}

TEST(LifecycleTest, TopologyChangeInTheWindowLoadsAgain) {
    World world;
    world.start(kA);
    world.refusals[kB] = {Cause::kTopology};
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.preparing(), kB);
    world.prepared();
    EXPECT_EQ(world.running, kB);
}

TEST(LifecycleTest, InAStormOfTopologyChangesTheRequestWaitsLongerAndLonger) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.tell(event::TopologyChanged{});
    world.prepared();
    std::chrono::nanoseconds last{};
    for (int i = 0; i < 12; ++i) {
        EXPECT_EQ(world.preparing(), kB);
        world.tell(event::TopologyChanged{});
        world.prepared();
        ASSERT_TRUE(world.delay);
        EXPECT_GE(*world.delay, last);
        last = *world.delay;
        EXPECT_EQ(world.running, kA) << "what runs is not touched";
        world.delay_passes();
    }
    EXPECT_EQ(last, 30s);
    world.prepared();
    EXPECT_EQ(world.running, kB);
    EXPECT_EQ(world.lifecycle.recent_failures(), 0U);
}

TEST(LifecycleTest, ARequestThatWaitsOutAStormComesAtOnceWhenNothingRuns) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    for (int i = 0; i < 2; ++i) {
        world.tell(event::TopologyChanged{});
        world.prepared();
    }
    ASSERT_TRUE(world.delay);
    world.left(LeaveClass::kTopology);
    EXPECT_EQ(world.preparing(), kB);
    world.prepared();
    EXPECT_EQ(world.running, kB);
}

TEST(LifecycleTest, SysrqStandsDownUntilResumed) {
    World world;
    world.lifecycle.set_fallbacks({kFallback});
    world.start(kA);
    world.left(LeaveClass::kOperator);
    EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kOperator);
    EXPECT_FALSE(world.preparing());
    world.tell(event::ResumeRequested{});
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_FALSE(world.lifecycle.stand_down_reason());
}

TEST(LifecycleTest, ForeignSchedulerStandsDown) {
    World world;
    world.lifecycle.set_fallbacks({kFallback});
    world.start(kA);
    world.running.reset();
    world.tell(event::Replaced{});
    EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kForeign);
    EXPECT_FALSE(world.preparing());
    EXPECT_THAT(world.loaded, IsEmpty());
}

// It left by itself, and somebody was faster than its successor.
TEST(LifecycleTest, OvertakenAfterItLeftItStandsDown) {
    for (const LeaveClass why : {LeaveClass::kError, LeaveClass::kByItself, LeaveClass::kRestart}) {
        World world;
        world.lifecycle.set_fallbacks({kFallback});
        world.start(kA);
        world.left(why, /*overtaken=*/true);
        EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kForeign);
        EXPECT_FALSE(world.preparing());
        EXPECT_EQ(world.lifecycle.quarantine().size(), why == LeaveClass::kError ? 1U : 0U);
    }
}

TEST(LifecycleTest, BusyStartStandsDown) {
    World world;
    world.lifecycle.set_fallbacks({kFallback});
    world.refusals[kA] = {Cause::kForeign};
    world.tell(event::Requested{kA});
    world.prepared();
    EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kForeign);
    EXPECT_EQ(world.settled[kA], SwapOutcome::kFailed);
}

TEST(LifecycleTest, StopDetachesAndResumeComesBack) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.prepared();
    world.tell(event::StopRequested{});
    EXPECT_FALSE(world.running);
    EXPECT_THAT(world.loaded, IsEmpty());
    EXPECT_EQ(world.lifecycle.phase(), Phase::kStopped);
    EXPECT_EQ(world.settled[kB], SwapOutcome::kSuperseded);
    world.tell(event::ResumeRequested{});
    world.prepared();
    EXPECT_EQ(world.running, kB);
}

TEST(LifecycleTest, StopCancelsAPreparation) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.tell(event::StopRequested{});
    world.deliver(0, true);
    EXPECT_FALSE(world.running);
    EXPECT_THAT(world.loaded, IsEmpty());
}

TEST(LifecycleTest, RefusedSwapIsNotWhatResumeWants) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.preparation_fails();
    world.tell(event::StopRequested{});
    world.tell(event::ResumeRequested{});
    EXPECT_EQ(world.preparing(), kA);
}

TEST(LifecycleTest, SecondRequestAtATimeIsTurnedAway) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.tell(event::Requested{kC});
    EXPECT_EQ(world.settled[kC], SwapOutcome::kSuperseded);
    world.prepared();
    EXPECT_EQ(world.running, kB);
}

TEST(LifecycleTest, SwapDuringProbationKeepsTheProvenOne) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.prepared();
    world.tell(event::Requested{kC});
    EXPECT_FALSE(world.settled.contains(kB)) << "it is still on probation";
    world.prepared();
    EXPECT_EQ(world.settled[kB], SwapOutcome::kSuperseded);
    EXPECT_EQ(world.running, kC);
    EXPECT_THAT(world.loaded, ElementsAre(kA, kC));
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.running, kA);
}

// Nothing has proven itself yet: what ran so far is all that there is to go back to, and goes on proving itself.
TEST(LifecycleTest, SwapDuringTheFirstProbationKeepsWhatRan) {
    World world;
    world.tell(event::Requested{kA});
    world.prepared();
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_THAT(world.loaded, ElementsAre(kA, kB));
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.settled[kB], SwapOutcome::kRolledBack);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kProbation);
    world.tell(event::ProbationOver{});
    EXPECT_EQ(world.lifecycle.phase(), Phase::kGood);
    EXPECT_THAT(world.loaded, ElementsAre(kA));
}

TEST(LifecycleTest, RunningOneLeavesWhileTheNextIsPrepared) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.preparing(), kB);
    world.prepared();
    EXPECT_EQ(world.running, kB);
    world.tell(event::ProbationOver{});
    EXPECT_EQ(world.settled[kB], SwapOutcome::kGood);
}

TEST(LifecycleTest, RunningOneLeavesAndTheNextCannotBePrepared) {
    World world;
    world.lifecycle.set_fallbacks({kFallback});
    world.start(kA);
    world.tell(event::Requested{kB});
    world.left(LeaveClass::kError);
    world.preparation_fails();
    world.prepared();
    EXPECT_EQ(world.running, kFallback);
    EXPECT_EQ(world.settled[kB], SwapOutcome::kFailed);
}

TEST(LifecycleTest, TooManyFailuresInTheWindowStandDown) {
    World world({.probation = 0s, .failure_limit = 2});
    world.lifecycle.set_fallbacks({10, 11, 12, 13, 14, 15});
    world.start(kA);
    world.left(LeaveClass::kError);
    world.preparation_fails();
    world.delay_passes();
    world.preparation_fails();
    EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kTooManyFailures);
    world.tell(event::ResumeRequested{});
    EXPECT_EQ(world.lifecycle.recent_failures(), 0U);
    EXPECT_EQ(world.preparing(), kA) << "the operator says so";
}

TEST(LifecycleTest, LeavesAreClassified) {
    const auto exit = [](ExitKind kind, std::int64_t code = 0) {
        return ExitReport{
            .kind = static_cast<std::uint32_t>(kind), .exit_code = code, .reason = {}, .message = {}, .dump = {}};
    };
    constexpr std::int64_t kRestartCode = 1LL << 48;
    constexpr std::int64_t kHotplugCode = 1LL << 32;
    EXPECT_EQ(classify(exit(ExitKind::kError)), LeaveClass::kError);
    EXPECT_EQ(classify(exit(ExitKind::kErrorStall)), LeaveClass::kError);
    EXPECT_EQ(classify(exit(static_cast<ExitKind>(4711))), LeaveClass::kError) << "a kind of a newer kernel";
    EXPECT_EQ(classify(exit(ExitKind::kSysrq)), LeaveClass::kOperator);
    EXPECT_EQ(classify(exit(ExitKind::kUnregKernel, kRestartCode | kHotplugCode)), LeaveClass::kTopology);
    EXPECT_EQ(classify(exit(ExitKind::kParent)), LeaveClass::kTopology);
    EXPECT_EQ(classify(exit(ExitKind::kParentKill)), LeaveClass::kByItself);
    EXPECT_EQ(classify(exit(ExitKind::kUnregBpf, kRestartCode)), LeaveClass::kRestart);
    EXPECT_EQ(classify(exit(ExitKind::kUnregBpf, kRestartCode | kHotplugCode)), LeaveClass::kTopology);
    EXPECT_EQ(classify(exit(ExitKind::kUnregBpf, 3)), LeaveClass::kByItself);
    EXPECT_EQ(classify(exit(ExitKind::kUnreg)), LeaveClass::kUnregistered);
}

// Two preparations of one request are under way at once; only the later one counts, in whatever order they end.
TEST(LifecycleTest, ResumeStopResumeRunsOnePreparation) {
    for (const bool later_first : {false, true}) {
        World world;
        world.start(kA);
        world.tell(event::StopRequested{});
        world.tell(event::ResumeRequested{});
        world.tell(event::StopRequested{});
        world.tell(event::ResumeRequested{});
        ASSERT_EQ(world.queue.size(), 2U);
        world.deliver(later_first ? 1 : 0, true);
        world.deliver(0, true);
        EXPECT_EQ(world.running, kA);
        EXPECT_THAT(world.loaded, ElementsAre(kA));
    }
}

TEST(LifecycleTest, ResumeWhileAReloadIsPrepared) {
    World world;
    world.start(kA);
    world.left(LeaveClass::kTopology);
    world.tell(event::ResumeRequested{});
    ASSERT_EQ(world.queue.size(), 2U);
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_THAT(world.loaded, ElementsAre(kA));
}

TEST(LifecycleTest, QuarantineGoesByBuildAndOptions) {
    World world;
    world.start(kA);
    world.refusals[kB] = {Cause::kRefused};
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_TRUE(world.quarantined(kB));
    const SchedulerId other_options = kB + 10;
    world.tell(event::Requested{other_options});
    world.prepared();
    EXPECT_EQ(world.running, other_options);
    EXPECT_TRUE(world.quarantined(kB)) << "that one works says nothing about the other";
}

TEST(LifecycleTest, QuarantineKeepsTheLatestReason) {
    World world;
    world.start(kA);
    world.refusals[kB] = {Cause::kRefused};
    world.tell(event::Requested{kB});
    world.prepared();
    world.tell(event::Requested{kB + 100, true});
    world.prepared();
    world.log.clear();
    world.left(LeaveClass::kError);
    EXPECT_THAT(world.log, testing::Contains("quarantine 102"));
    ASSERT_EQ(world.lifecycle.quarantine().size(), 1U);
    EXPECT_EQ(world.lifecycle.quarantine()[0].reason, "it left");
}

TEST(LifecycleTest, QuarantineIsBounded) {
    World world({.failure_limit = 1000000});
    world.start(kA);
    for (SchedulerId id = 201; id < 300; ++id) {
        world.refusals[id] = {Cause::kRefused};
        world.tell(event::Requested{id});
        world.prepared();
    }
    EXPECT_EQ(world.lifecycle.quarantine().size(), 64U);
    EXPECT_TRUE(world.quarantined(299));
}

TEST(LifecycleTest, WhatRunsAlreadyIsNotSwapped) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.tell(event::Unchanged{world.queue.back().ticket});
    EXPECT_EQ(world.settled[kB], SwapOutcome::kUnchanged);
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kGood);
    world.tell(event::Requested{kC});
    world.prepared();
    EXPECT_EQ(world.running, kC);
}

// What runs fails between the decision to swap and its detach: it is blamed, and it is none to go back to.
TEST(LifecycleTest, EjectionDuringASwapIsNotSwallowed) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.leaves_in_switch = event::Left{LeaveClass::kError, false, "it failed"};
    world.prepared();
    EXPECT_EQ(world.running, kB);
    EXPECT_TRUE(world.quarantined(kA));
    EXPECT_EQ(world.lifecycle.recent_failures(), 1U);
    EXPECT_FALSE(world.lifecycle.last_good());
    EXPECT_THAT(world.loaded, ElementsAre(kB));
    world.left(LeaveClass::kError);
    EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kNothingLeft);
}

TEST(LifecycleTest, EjectionDuringASwapThatFailsGoesBackToNothing) {
    World world;
    world.lifecycle.set_fallbacks({kFallback});
    world.start(kA);
    world.refusals[kB] = {LeaveClass::kError};
    world.tell(event::Requested{kB});
    world.leaves_in_switch = event::Left{LeaveClass::kError, false, "it failed"};
    world.prepared();
    EXPECT_FALSE(world.running);
    world.prepared();
    EXPECT_EQ(world.running, kFallback);
    EXPECT_TRUE(world.quarantined(kA) && world.quarantined(kB));
    EXPECT_EQ(world.settled[kB], SwapOutcome::kFailed);
}

// The same words and outcome whether it leaves as it is attached or a moment later.
TEST(LifecycleTest, ExitsInTheAttachAreWhatTheyAreLater) {
    for (const LeaveClass why : {LeaveClass::kByItself, LeaveClass::kUnregistered, LeaveClass::kRestart}) {
        World world;
        world.start(kA);
        world.refusals[kB] = {why};
        world.tell(event::Requested{kB});
        world.prepared();
        EXPECT_EQ(world.running, kA);
        EXPECT_THAT(world.lifecycle.quarantine(), IsEmpty());
        if (why == LeaveClass::kByItself) {
            EXPECT_EQ(world.settled[kB], SwapOutcome::kRolledBack);
            continue;
        }
        world.prepared(); // it is started again
        EXPECT_EQ(world.running, kB);
        world.tell(event::ProbationOver{});
        EXPECT_EQ(world.settled[kB], SwapOutcome::kGood);
    }
    World world;
    world.start(kA);
    world.refusals[kB] = {LeaveClass::kOperator};
    world.tell(event::Requested{kB});
    world.prepared();
    EXPECT_FALSE(world.running);
    EXPECT_THAT(world.loaded, IsEmpty());
    EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kOperator);
}

TEST(LifecycleTest, RestartsInTheAttachAreLimited) {
    World world({.failure_limit = 2});
    world.start(kA);
    world.refusals[kB] = std::vector<Refusal>(10, LeaveClass::kRestart);
    world.tell(event::Requested{kB});
    world.prepared();
    world.prepared();
    world.delay_passes();
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.settled[kB], SwapOutcome::kRolledBack);
    EXPECT_TRUE(world.quarantined(kB));
}

// Its maps remember its first life. The same file works when it is loaded anew, so that is tried before it is blamed.
TEST(LifecycleTest, AKeptOneThatCannotBeAttachedAgainIsLoadedAnew) {
    World world;
    world.start(kA);
    world.tell(event::Requested{kB});
    world.prepared();
    world.refusals[kA] = {LeaveClass::kError};
    world.left(LeaveClass::kError);
    EXPECT_FALSE(world.quarantined(kA));
    EXPECT_EQ(world.preparing(), kA);
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.settled[kB], SwapOutcome::kFailed);

    world.tell(event::Requested{kB + 10});
    world.prepared();
    world.refusals[kA] = {LeaveClass::kError, LeaveClass::kError};
    world.left(LeaveClass::kError);
    world.delay_passes();
    world.prepared();
    EXPECT_TRUE(world.quarantined(kA)) << "now it is";
}

// A swap that is refused says nothing about the one that is still on probation.
TEST(LifecycleTest, ARefusedSwapLeavesProbationAsItIs) {
    World world;
    world.tell(event::Requested{kA});
    world.prepared();
    world.tell(event::Requested{kB});
    world.preparation_fails();
    EXPECT_EQ(world.settled[kB], SwapOutcome::kRefused);
    EXPECT_FALSE(world.settled.contains(kA));
    world.tell(event::ProbationOver{});
    EXPECT_EQ(world.settled[kA], SwapOutcome::kGood);
}

// Somebody detached it, or the kernel did when it mistook it for another one: it comes back, within the limit.
TEST(LifecycleTest, OneThatSomebodyDetachedComesBackWithoutBlame) {
    World world({.probation = 0s, .failure_limit = 2});
    world.start(kA);
    world.left(LeaveClass::kUnregistered);
    world.prepared();
    EXPECT_EQ(world.running, kA);
    world.left(LeaveClass::kUnregistered);
    world.delay_passes();
    world.prepared();
    world.left(LeaveClass::kUnregistered);
    EXPECT_THAT(world.lifecycle.quarantine(), IsEmpty());
    EXPECT_EQ(world.lifecycle.stand_down_reason(), StandDownReason::kNothingLeft);
}

// A branch: its cgroup, or the scheduler above it, goes and comes again.

TEST(LifecycleTest, WhatRanIsAttachedAgainAsItIsWhenItsPlaceIsBack) {
    World world;
    world.start(kA);
    world.lose_place();
    EXPECT_EQ(world.lifecycle.phase(), Phase::kWaiting);
    EXPECT_THAT(world.loaded, ElementsAre(kA)) << "nothing need be loaded when it is back";
    world.find_place();
    EXPECT_EQ(world.lifecycle.phase(), Phase::kGood) << "it has proven itself";
    EXPECT_THAT(world.log, ElementsAre("run 1"));
    EXPECT_EQ(world.lifecycle.recent_failures(), 0U);
}

TEST(LifecycleTest, OneThatHadNotProvenItselfIsOnProbationAgain) {
    World world;
    world.tell(event::Requested{kA});
    world.prepared();
    world.lose_place();
    EXPECT_FALSE(world.settled.contains(kA));
    world.find_place();
    EXPECT_EQ(world.lifecycle.phase(), Phase::kProbation);
    world.tell(event::ProbationOver{});
    EXPECT_EQ(world.settled[kA], SwapOutcome::kGood);
}

TEST(LifecycleTest, WithoutAPlaceNothingIsPrepared) {
    World world;
    world.lose_place();
    world.tell(event::Requested{kA});
    EXPECT_EQ(world.lifecycle.phase(), Phase::kWaiting);
    EXPECT_THAT(world.log, IsEmpty());
    world.find_place();
    world.prepared();
    EXPECT_EQ(world.running, kA);
}

TEST(LifecycleTest, WhatIsPreparedWhenThePlaceIsGoneWaitsForIt) {
    World world;
    world.tell(event::Requested{kA});
    world.lose_place();
    world.prepared();
    EXPECT_EQ(world.lifecycle.phase(), Phase::kWaiting);
    world.find_place();
    EXPECT_EQ(world.running, kA);
}

TEST(LifecycleTest, OneThatCannotBeAttachedAgainIsLoadedAnewBeforeItIsBlamed) {
    World world;
    world.start(kA);
    world.lose_place();
    world.refusals[kA] = {LeaveClass::kError};
    world.find_place();
    EXPECT_FALSE(world.quarantined(kA));
    world.prepared();
    EXPECT_EQ(world.running, kA);
    EXPECT_EQ(world.lifecycle.phase(), Phase::kProbation);
}

TEST(LifecycleTest, ACpuThatCameMeanwhileHasItLoadedAnew) {
    World world;
    world.start(kA);
    world.lose_place();
    world.tell(event::TopologyChanged{});
    world.find_place();
    EXPECT_THAT(world.loaded, IsEmpty());
    world.prepared();
    EXPECT_EQ(world.running, kA);
}

TEST(LifecycleTest, StopWhileItWaitsIsForgottenByResumeOnly) {
    World world;
    world.start(kA);
    world.lose_place();
    world.tell(event::StopRequested{});
    EXPECT_THAT(world.loaded, IsEmpty());
    world.find_place();
    EXPECT_EQ(world.lifecycle.phase(), Phase::kStopped);
    world.tell(event::ResumeRequested{});
    world.prepared();
    EXPECT_EQ(world.running, kA);
}

TEST(LifecycleTest, ItsOwnFailureIsBlamedAlsoWhenThePlaceGoesWithIt) {
    World world;
    world.start(kA);
    world.lifecycle.set_fallbacks({kFallback});
    world.running.reset();
    world.has_place = false;
    world.tell(event::PlaceLost{});
    world.tell(event::Left{LeaveClass::kError, false, "it failed"});
    EXPECT_TRUE(world.quarantined(kA));
    EXPECT_EQ(world.lifecycle.phase(), Phase::kWaiting);
    world.find_place();
    world.prepared();
    EXPECT_EQ(world.running, kFallback);
}

// Long random lives: whatever happens, and in whatever order, the promise holds.
TEST(LifecycleTest, PromiseHoldsInRandomLives) {
    for (unsigned seed = 0; seed < 400; ++seed) {
        SCOPED_TRACE(fmt::format("seed {}", seed));
        std::mt19937 random(seed);
        const auto pick = [&random](unsigned n) { return static_cast<unsigned>(random() % n); };
        World world({.probation = pick(2) == 0 ? 0s : 10s, .failure_limit = 3});
        world.lifecycle.set_fallbacks({kFallback, kFallback + 1});
        SchedulerId next = 100;
        std::set<SchedulerId> asked;
        for (int step = 0; step < 300 && !HasFailure(); ++step) {
            world.now += std::chrono::seconds(pick(30));
            world.restore_works = pick(4) != 0;
            for (SchedulerId id = 0; id < 20; ++id)
                world.refusals[id].clear();
            for (SchedulerId id : {next, next - 1, kFallback, kFallback + 1})
                if (pick(4) == 0)
                    world.refusals[id] = {pick(2) == 0 ? Refusal(static_cast<LeaveClass>(pick(6)))
                                                       : Refusal(static_cast<Cause>(1 + pick(5)))};
            if (pick(4) == 0)
                world.leaves_in_switch = event::Left{static_cast<LeaveClass>(pick(6)), false, "it left"};
            else
                world.leaves_in_switch.reset();
            if (pick(12) == 0)
                world.has_place ? world.lose_place() : world.find_place();
            switch (pick(9)) {
            case 0:
                asked.insert(++next);
                world.tell(event::Requested{next, pick(5) == 0});
                break;
            case 1:
            case 2:
                if (!world.queue.empty())
                    world.deliver(pick(static_cast<unsigned>(world.queue.size())), true);
                break;
            case 3:
                if (!world.queue.empty())
                    world.deliver(pick(static_cast<unsigned>(world.queue.size())), false);
                break;
            case 4:
                if (world.running)
                    world.left(static_cast<LeaveClass>(pick(6)), pick(10) == 0);
                else if (world.lifecycle.phase() == Phase::kRecovering && pick(4) == 0)
                    world.tell(event::Replaced{});
                break;
            case 5:
                world.tell(event::ProbationOver{});
                break;
            case 6:
                if (world.delay)
                    world.delay_passes();
                break;
            case 7:
                world.tell(event::TopologyChanged{});
                break;
            default:
                if (pick(6) == 0)
                    world.tell(event::StopRequested{});
                else if (pick(3) == 0)
                    world.tell(event::ResumeRequested{});
                break;
            }
            const Phase phase = world.lifecycle.phase();
            EXPECT_EQ(world.running, world.lifecycle.running());
            EXPECT_NE(phase, Phase::kSwitching);
            if (world.running) {
                EXPECT_TRUE(phase == Phase::kGood || phase == Phase::kProbation) << to_string(phase);
            } else {
                EXPECT_TRUE(phase == Phase::kEmpty || phase == Phase::kStopped || phase == Phase::kStoodDown ||
                            (phase == Phase::kWaiting && !world.has_place) || world.preparing() || world.delay)
                    << "nothing runs, nothing is on its way: " << to_string(phase);
            }
            // What is loaded is what runs and at most one to go back to.
            EXPECT_LE(world.loaded.size(), 2U);
            for (const SchedulerId id : world.loaded)
                EXPECT_TRUE(world.lifecycle.refers_to(id)) << id << " is loaded and forgotten";
        }
        world.tell(event::StopRequested{});
        EXPECT_THAT(world.loaded, IsEmpty());
        for (const SchedulerId id : asked)
            EXPECT_TRUE(world.settled.contains(id)) << id << " was never answered";
    }
}

} // namespace
} // namespace scxhost
