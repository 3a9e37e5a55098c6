// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/background_worker.hpp"
#include "tests/support/loop_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace scxhost {
namespace {

using testing::ElementsAre;

class BackgroundWorkerTest : public testing::Test {
protected:
    std::unique_ptr<BackgroundWorker> start() { return BackgroundWorker::start(script_.loop()).value(); }

    LoopScript script_;
};

TEST_F(BackgroundWorkerTest, JobsRunBesideTheLoopAndReportOnIt) {
    const auto worker = start();
    const std::thread::id here = std::this_thread::get_id();
    std::thread::id of_job;
    std::thread::id of_completion;
    worker->submit([&] {
        of_job = std::this_thread::get_id();
        return [&] { of_completion = std::this_thread::get_id(); };
    });
    script_.run([&] { EXPECT_TRUE(script_.wait_until([&] { return of_completion != std::thread::id(); })); });
    EXPECT_NE(of_job, here);
    EXPECT_EQ(of_completion, here);
}

TEST_F(BackgroundWorkerTest, WhatAJobThrowsIsThrownOnTheLoop) {
    EventLoop loop = EventLoop::make().value();
    const auto worker = BackgroundWorker::start(loop).value();
    worker->submit([]() -> BackgroundWorker::Completion { throw std::runtime_error("a job failed"); });
    const Result<> ended = loop.run();
    ASSERT_FALSE(ended);
    EXPECT_THAT(ended.error().what, testing::HasSubstr("a job failed"));
}

TEST_F(BackgroundWorkerTest, OneAfterTheOther) {
    const auto worker = start();
    std::vector<int> done;
    for (const int i : {1, 2, 3})
        worker->submit([&done, i]() -> BackgroundWorker::Completion {
            if (i == 2)
                return {}; // nothing to say
            return [&done, i] { done.push_back(i); };
        });
    worker->submit([&] { return [&] { worker->submit([&] { return [&] { done.push_back(5); }; }); }; });
    script_.run([&] { EXPECT_TRUE(script_.wait_until([&] { return done.size() == 3; })); });
    EXPECT_THAT(done, ElementsAre(1, 3, 5));
}

TEST_F(BackgroundWorkerTest, WhatAJobHoldsEndsBesideTheLoop) {
    const auto worker = start();
    std::thread::id ended_on;
    std::shared_ptr<void> held(nullptr, [&ended_on](void*) { ended_on = std::this_thread::get_id(); });
    bool told = false;
    worker->submit([held = std::move(held), &told] { return [&told] { told = true; }; });
    script_.run([&] { EXPECT_TRUE(script_.wait_until([&] { return told; })); });
    EXPECT_NE(ended_on, std::this_thread::get_id());
}

TEST_F(BackgroundWorkerTest, SignalsAreTheLoops) {
    const auto worker = start();
    sigset_t of_worker;
    sigemptyset(&of_worker);
    bool told = false;
    worker->submit([&] {
        ::pthread_sigmask(SIG_SETMASK, nullptr, &of_worker);
        return [&] { told = true; };
    });
    script_.run([&] { EXPECT_TRUE(script_.wait_until([&] { return told; })); });
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
        EXPECT_EQ(::sigismember(&of_worker, signal), 1) << signal;
    sigset_t here;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &here);
    EXPECT_EQ(::sigismember(&here, SIGINT), 0) << "and here it is as before";
}

TEST_F(BackgroundWorkerTest, DrainedWhenTheLoopRunsNoMore) {
    const auto worker = start();
    std::vector<int> done;
    for (const int i : {1, 2})
        worker->submit([&done, i] { return [&done, i] { done.push_back(i); }; });
    worker->drain();
    EXPECT_THAT(done, ElementsAre(1, 2));
    worker->drain(); // nothing is left to wait for
    EXPECT_EQ(done.size(), 2U);
}

// Of a thread of this process: R while it runs, S while it waits for something.
char state_of(pid_t thread) {
    std::ifstream file(fmt::format("/proc/self/task/{}/stat", thread));
    std::string text;
    std::getline(file, text);
    const std::size_t end_of_name = text.rfind(") ");
    return end_of_name == std::string::npos ? '?' : text.at(end_of_name + 2);
}

TEST_F(BackgroundWorkerTest, ItsEndWaitsForTheRunningJobAndDropsTheOthers) {
    const pid_t main = ::gettid();
    std::atomic<bool> running = false;
    std::atomic<bool> ended = false;
    bool reported = false;
    bool second_ran = false;
    const auto witness = std::make_shared<int>(0);
    auto worker = start();
    worker->submit([&] {
        running = true;
        // The main thread sleeps nowhere but in the worker's end.
        while (state_of(main) != 'S')
            std::this_thread::yield();
        ended = true;
        return [&] { reported = true; };
    });
    worker->submit([&second_ran, witness] {
        second_ran = true;
        return BackgroundWorker::Completion();
    });
    while (!running)
        std::this_thread::yield();
    worker.reset();
    EXPECT_TRUE(ended);
    EXPECT_FALSE(second_ran);
    EXPECT_EQ(witness.use_count(), 1) << "destroyed without having run";
    script_.run([&] { script_.on_loop([] {}); });
    EXPECT_FALSE(reported) << "nobody is there to be told";
}

// The job goes on alone, with what it owns.
TEST_F(BackgroundWorkerTest, AnAbandonedOneIsNotWaitedFor) {
    const auto release = std::make_shared<std::atomic<bool>>(false);
    const auto ended = std::make_shared<std::atomic<bool>>(false);
    const auto running = std::make_shared<std::atomic<bool>>(false);
    bool reported = false;
    auto worker = start();
    worker->submit([&reported, running, release, ended] {
        *running = true;
        while (!*release)
            std::this_thread::yield();
        *ended = true;
        return [&reported] { reported = true; };
    });
    while (!*running)
        std::this_thread::yield();
    worker->abandon();
    worker.reset(); // would wait for ever
    EXPECT_FALSE(*ended);
    *release = true;
    while (!*ended)
        std::this_thread::yield();
    script_.run([&] { script_.on_loop([] {}); });
    EXPECT_FALSE(reported);
}

} // namespace
} // namespace scxhost
