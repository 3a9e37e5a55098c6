// SPDX-License-Identifier: GPL-2.0-only
//
// The host as a service: what it tells a service manager (sd_notify(3)), received here in the manager's place. Runs as
// root in a guest.
#include "host/base/unique_fd.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr const char* kSocket = "/run/notify";
constexpr const char* kConfig = "/root/service.toml";

class ServiceVm : public QuietGuestTest {
protected:
    void SetUp() override {
        QuietGuestTest::SetUp();
        socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        const sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/run/notify"};
        ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        // For the hosts that are started here.
        ::setenv("NOTIFY_SOCKET", kSocket, 1);
        ::setenv("WATCHDOG_USEC", "1000000", 1);
        write_text(kConfig, "[scheduler]\nplugin = \"simple\"\n");
    }
    void TearDown() override {
        ::unsetenv("NOTIFY_SOCKET");
        ::unsetenv("WATCHDOG_USEC");
        ::unlink(kSocket);
        QuietGuestTest::TearDown();
    }

    // The next message in which the text stands; empty: none came.
    std::string next(const std::string& text) {
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        for (;;) {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
            pollfd polled{.fd = socket_.get(), .events = POLLIN, .revents = 0};
            if (left <= 0ms || ::poll(&polled, 1, static_cast<int>(left.count())) != 1)
                return {};
            const std::string message = receive();
            seen_ += message + "\n";
            if (message.find(text) != std::string::npos)
                return message;
        }
    }
    // All that has come and was not yet seen.
    void read_all() {
        for (std::string message = receive(); !message.empty(); message = receive())
            seen_ += message + "\n";
    }
    [[nodiscard]] const std::string& seen() const { return seen_; }

private:
    std::string receive() {
        char buffer[4096];
        const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        return {buffer, got > 0 ? static_cast<std::size_t>(got) : 0};
    }

    UniqueFd socket_;
    std::string seen_;
};

TEST_F(ServiceVm, IsReadyOnceConfirmedThenPingsReloadsAndStops) {
    HostProcess host({"run", kConfig, "--json", "--stay", "--set", "swap.probation=1h"});
    ASSERT_NE(next("READY=1"), "") << seen() << host.err();
    const SchedExtStatus kernel = kernel_status();
    EXPECT_EQ(kernel.state, SchedExtState::kEnabled);
    EXPECT_THAT(kernel.ops.value_or(""), testing::StartsWith("simple"));
    EXPECT_NE(next("STATUS=probation: simple"), "") << seen();
    for (int i = 0; i < 3; ++i)
        EXPECT_NE(next("WATCHDOG=1"), "") << seen();

    // Reloaded when the kernel has confirmed what the file says, or what it says is known to be wrong.
    host.signal(SIGHUP);
    EXPECT_THAT(next("RELOADING=1"), HasSubstr("MONOTONIC_USEC=")) << seen();
    ASSERT_NE(next("READY=1"), "") << seen();
    EXPECT_EQ(kernel_status().enable_seq, kernel.enable_seq) << "it says what runs already";
    write_text(kConfig, "[scheduler]\nplugin = \"simple\"\noptions = { fifo = true }\n");
    ASSERT_NE(next("RELOADING=1"), "") << seen();
    host.signal(SIGHUP); // what it asks for is on its way already, but who waits for it waits for a newer time stamp
    EXPECT_THAT(next("RELOADING=1"), HasSubstr("MONOTONIC_USEC=")) << seen();
    ASSERT_NE(next("READY=1"), "") << seen();
    EXPECT_EQ(kernel_status().enable_seq, kernel.enable_seq + 1);
    write_text(kConfig, "garbage");
    ASSERT_NE(next("RELOADING=1"), "") << seen();
    ASSERT_NE(next("READY=1"), "") << seen();
    EXPECT_EQ(kernel_status().enable_seq, kernel.enable_seq + 1);

    host.signal(SIGTERM);
    EXPECT_NE(next("STOPPING=1"), "") << seen();
    EXPECT_EQ(host.wait(), 0) << host.err();
}

TEST_F(ServiceVm, IsNeverReadyWhenNothingStarts) {
    HostProcess host({"run", "/root/faulty.so", "--json", "--stay", "--set", "fault=init"});
    EXPECT_EQ(host.wait(), 1) << host.err();
    read_all();
    EXPECT_THAT(seen(), testing::Not(HasSubstr("READY=1")));
    EXPECT_THAT(seen(), HasSubstr("STOPPING=1"));
}

} // namespace
} // namespace scxhost
