// SPDX-License-Identifier: GPL-2.0-only
//
// A callback that ends its thread: glibc unwinds the stack for it, and ends the process when somebody on the way takes
// that for an exception.
#include "host/base/thread.hpp"
#include <scxhost/plugin.hpp>

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>

namespace scxhost {
namespace {

TEST(SdkUnwind, AThreadMayEndItselfInACallback) {
    std::atomic<bool> unwound = false;
    std::atomic<bool> returned = false;
    scxhost_host host{};
    host.report_error = [](void*, const char*, const char*) {};
    Thread::start([&] {
        struct OnTheStack {
            std::atomic<bool>& gone;
            ~OnTheStack() { gone = true; }
        } const local{unwound};
        (void)sdk::detail::guarded(&host, [] { ::pthread_exit(nullptr); });
        returned = true;
    })
        .value()
        .join();
    EXPECT_TRUE(unwound);
    EXPECT_FALSE(returned);
}

} // namespace
} // namespace scxhost
