// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/unique_fd.hpp"
#include "host/plugins/plugin_thread.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s; // far beyond what anything takes

class PluginThreadTest : public testing::Test {
protected:
    // Waits for the calls before it.
    void run(PluginThread::Call call) { EXPECT_TRUE(thread_->run("call", kPatience, std::move(call))); }
    void end() {
        EXPECT_TRUE(thread_->end("end", kPatience, [] { return Result<>(); }, [] {}));
    }

    std::unique_ptr<PluginThread> thread_ = PluginThread::start("test").value();
};

TEST_F(PluginThreadTest, CallsAreMadeInOrderAndTheirResultsCome) {
    std::string order;
    thread_->post("one", kPatience, [&] {
        order += "1";
        return fail(ErrorKind::kPlugin, "as it should");
    });
    run([&]() -> Result<> {
        order += "2";
        return {};
    });
    EXPECT_EQ(order, "12");
    const auto outcomes = thread_->outcomes();
    ASSERT_EQ(outcomes.size(), 1U) << "who waited has his answer already";
    EXPECT_STREQ(outcomes[0].callback, "one");
    EXPECT_EQ(outcomes[0].result.error().what, "as it should");
    end();
}

TEST_F(PluginThreadTest, WatchesADescriptorUntilItIsToldNotTo) {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    std::atomic<int> woken = 0;
    run([&]() -> Result<> {
        PluginThread::watch(fd.get(), "watched", kPatience, [&]() -> Result<> {
            eventfd_t count = 0;
            ::eventfd_read(fd.get(), &count);
            ++woken;
            woken.notify_all();
            return {};
        });
        return {};
    });
    ::eventfd_write(fd.get(), 1);
    woken.wait(0);
    EXPECT_EQ(woken, 1);
    run([&]() -> Result<> {
        PluginThread::unwatch();
        fd.reset(); // poll() would call it ready
        return {};
    });
    run([]() -> Result<> { return {}; });
    end();
    EXPECT_EQ(woken, 1);
}

} // namespace
} // namespace scxhost
