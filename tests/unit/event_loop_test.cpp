// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/event_fd.hpp"
#include "host/base/event_loop.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class EventLoopTest : public testing::Test {
protected:
    EventLoop loop_ = EventLoop::make().value();
};

TEST_F(EventLoopTest, WhatAHandlerThrowsEndsTheLoop) {
    bool later = false;
    ASSERT_TRUE(loop_.after(0ms, [] { throw std::runtime_error("no more memory cards"); }));
    ASSERT_TRUE(loop_.after(1h, [&] { later = true; }));
    const Result<> ended = loop_.run();
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().kind, ErrorKind::kInternal);
    EXPECT_THAT(ended.error().what, HasSubstr("no more memory cards"));
    EXPECT_FALSE(later);
}

TEST_F(EventLoopTest, WhatIsNoExceptionIsOneToo) {
    ASSERT_TRUE(loop_.after(0ms, [] { throw 7; }));
    const Result<> ended = loop_.run();
    ASSERT_FALSE(ended);
    EXPECT_THAT(ended.error().what, HasSubstr("no std::exception"));
}

// Whatever was watched first, and whatever became ready first.
TEST_F(EventLoopTest, ClientsComeLast) {
    std::vector<std::string> order;
    const EventFd client;
    const EventFd uevents;
    client.signal();
    uevents.signal();
    EventLoop::Watch clients;
    EventLoop::Watch normal;
    clients = loop_
                  .watch(
                      client.get(), {},
                      [&] {
                          order.emplace_back("client");
                          client.consume();
                          loop_.stop();
                      },
                      EventLoop::Priority::kClients)
                  .value();
    normal = loop_
                 .watch(uevents.get(), {},
                        [&] {
                            order.emplace_back("uevents");
                            uevents.consume();
                        })
                 .value();
    ASSERT_TRUE(loop_.run());
    EXPECT_THAT(order, ElementsAre("uevents", "client"));
}

TEST_F(EventLoopTest, ADisabledWatchIsNotLookedAt) {
    const EventFd fd;
    fd.signal();
    int seen = 0;
    EventLoop::Watch watch = loop_
                                 .watch(fd.get(), {},
                                        [&] {
                                            ++seen;
                                            loop_.stop();
                                        })
                                 .value();
    ASSERT_TRUE(watch.enable(false));
    ASSERT_TRUE(loop_.after(1ms, [&] {
        EXPECT_EQ(seen, 0);
        EXPECT_TRUE(watch.enable(true));
    }));
    ASSERT_TRUE(loop_.run());
    EXPECT_EQ(seen, 1);
}

// In a process of its own, which nohup has started.
TEST_F(EventLoopTest, ASignalThatWasIgnoredStaysSo) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGHUP, SIG_IGN);
        ::signal(SIGTERM, SIG_DFL);
        EventLoop loop = EventLoop::make().value();
        bool hung_up = false;
        const bool ready = loop.on_signal(SIGHUP, [&] { hung_up = true; }) &&
                           loop.on_signal(SIGTERM, [&] { loop.stop(); }) && is_ignored(SIGHUP) && !is_ignored(SIGTERM);
        ::raise(SIGHUP);
        ::raise(SIGTERM);
        std::_Exit(ready && loop.run() && !hung_up ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

} // namespace
} // namespace scxhost
