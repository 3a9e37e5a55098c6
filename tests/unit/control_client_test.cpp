// SPDX-License-Identifier: GPL-2.0-only
//
// A host that says what the test wants, on a real socket: also what no host would.
#include "host/control/client.hpp"
#include "host/control/protocol.hpp"
#include "tests/support/other_user.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class ControlClientTest : public testing::Test {
protected:
    ControlClientTest() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_.get(), 4), 0);
    }
    ~ControlClientTest() override { wait(); }

    // Takes one client, reads `calls` lines, sends the text, and hangs up, unless it is to stay for the test.
    void host(std::size_t calls, std::string text, bool hang_up = true) {
        thread_ = std::thread([this, calls, text = std::move(text), hang_up] {
            connection_ = UniqueFd(::accept(listener_.get(), nullptr, nullptr));
            std::array<char, 4096> buffer;
            for (std::size_t lines = 0; lines < calls;) {
                const ssize_t got = ::recv(connection_.get(), buffer.data(), buffer.size(), 0);
                if (got <= 0)
                    return;
                received_.append(buffer.data(), static_cast<std::size_t>(got));
                lines = static_cast<std::size_t>(std::ranges::count(received_, '\n'));
            }
            std::string_view rest = text;
            while (!rest.empty()) {
                const ssize_t sent = ::send(connection_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
                if (sent <= 0)
                    break;
                rest.remove_prefix(static_cast<std::size_t>(sent));
            }
            if (hang_up)
                connection_.reset();
        });
    }
    void wait() {
        if (thread_.joinable())
            thread_.join();
    }
    ControlClient connect() const { return ControlClient::connect(path_).value(); }
    static Result<json> ask(ControlClient& client) { return client.call("status", json::object(), std::nullopt); }

    TempDir dir_;
    fs::path path_ = dir_.path() / "control.sock";
    UniqueFd listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    UniqueFd connection_;
    std::string received_;
    std::thread thread_;
};

TEST_F(ControlClientTest, ACallAndItsAnswer) {
    host(1, format_result(1, {{"phase", "good"}}));
    ControlClient client = connect();
    const auto answer = client.call("swap", {{"what", "qmap"}}, std::nullopt);
    ASSERT_TRUE(answer) << answer.error().what;
    EXPECT_EQ(*answer, json({{"phase", "good"}}));
    wait();
    const auto call = parse_call(received_);
    ASSERT_TRUE(call);
    EXPECT_EQ(call->method, "swap");
    EXPECT_EQ(call->params, json({{"what", "qmap"}}));
}

TEST_F(ControlClientTest, TheHostsErrorIsTheCallers) {
    host(1, format_error(1, Error{.kind = ErrorKind::kVerifier, .what = "refused", .hint = "h", .detail = "log"}));
    ControlClient client = connect();
    const auto answer = ask(client);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kVerifier);
    EXPECT_EQ(answer.error().what, "refused");
    EXPECT_EQ(answer.error().hint, "h");
    EXPECT_EQ(answer.error().detail, "log");
}

TEST_F(ControlClientTest, EventsBeforeTheAnswer) {
    host(2, format_event({{"event", "a"}}) + format_result(1, nullptr) + format_event({{"event", "b"}}) +
                format_result(7, "nobody asked") + format_result(2, "second") + format_event({{"event", "c"}}));
    ControlClient client = connect();
    std::vector<std::string> seen;
    const auto note = [&](const json& event) { seen.push_back(event["event"]); };
    // The host says nothing before it has the second call.
    const auto none = client.call("status", json::object(), ControlClient::Clock::now());
    ASSERT_FALSE(none);
    const auto answer = client.call("status", json::object(), std::nullopt, note);
    ASSERT_TRUE(answer) << answer.error().what;
    EXPECT_EQ(*answer, "second") << "and not that of the call that was given up";
    EXPECT_THAT(seen, testing::ElementsAre("a", "b"));
    const auto event = client.next_event();
    ASSERT_TRUE(event);
    EXPECT_EQ((*event)["event"], "c");
    const auto end = client.next_event();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().kind, ErrorKind::kNoHost);
}

TEST_F(ControlClientTest, EventsAreKeptForLater) {
    host(1, format_event({{"event", "a"}}) + format_event({{"event", "b"}}) + format_result(1, nullptr));
    ControlClient client = connect();
    ASSERT_TRUE(ask(client));
    EXPECT_EQ(client.next_event().value()["event"], "a");
    EXPECT_EQ(client.next_event().value()["event"], "b");
}

TEST_F(ControlClientTest, AHostThatDoesNotAnswer) {
    host(1, "", /*hang_up=*/false);
    ControlClient client = connect();
    const auto answer =
        client.call("status", json::object(), ControlClient::Clock::now() + std::chrono::milliseconds(20));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kIo);
    EXPECT_THAT(answer.error().what, HasSubstr("does not answer"));
}

// Neither with the connection nor with taking the call; without a deadline either may last ten seconds.
TEST_F(ControlClientTest, TheDeadlineIsOfConnectingAndSendingToo) {
    constexpr auto kSooner = std::chrono::seconds(6);
    const auto soon = [] { return ControlClient::Clock::now() + std::chrono::milliseconds(50); };
    const auto expect_silence = [&](std::future<Result<>> tried, const char* what) {
        EXPECT_EQ(tried.wait_for(kSooner), std::future_status::ready) << what;
        const Result<> result = tried.get();
        ASSERT_FALSE(result) << what;
        EXPECT_EQ(result.error().kind, ErrorKind::kIo) << what;
        EXPECT_EQ(result.error().what, "the host does not answer") << what;
    };
    ControlClient client = connect();
    const json much = std::string(std::size_t{16} << 20U, 'x'); // more than the socket's buffers hold
    expect_silence(std::async(std::launch::async,
                              [&]() -> Result<> {
                                  const auto answer = client.call("status", much, soon());
                                  return answer ? Result<>() : fail(answer.error());
                              }),
                   "sending");
    std::vector<ControlClient> queued;
    expect_silence(std::async(std::launch::async,
                              [&]() -> Result<> {
                                  for (int i = 0; i < 100; ++i)
                                      queued.push_back(SCXHOST_TRY(ControlClient::connect(path_, soon())));
                                  return {};
                              }),
                   "connecting");
}

TEST_F(ControlClientTest, AHostThatEndsMeanwhile) {
    host(1, R"({"jsonrpc":"2.0","id":1,"res)");
    ControlClient client = connect();
    const auto answer = ask(client);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kNoHost);
}

// Sending fails, for the host has hung up; why stands in what it sent before.
TEST_F(ControlClientTest, AHostThatWantsNoMoreClients) {
    host(0, format_error(nullptr, Error{.kind = ErrorKind::kBusy, .what = "too many clients"}));
    ControlClient client = connect();
    wait();
    const auto answer = ask(client);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kBusy);
    EXPECT_EQ(answer.error().what, "too many clients");
}

TEST_F(ControlClientTest, AnswersThatAreNone) {
    for (const char* text : {"hello\n", "\n", "[]\n", "{\"id\":1}\n", "\xff\n"}) {
        host(1, text);
        ControlClient client = connect();
        const auto answer = ask(client);
        ASSERT_FALSE(answer) << text;
        EXPECT_EQ(answer.error().kind, ErrorKind::kIo) << text;
        wait();
        received_.clear();
    }
}

TEST_F(ControlClientTest, TheLongestAnswerAndOneThatIsLonger) {
    const std::size_t frame = format_result(1, "").size();
    host(1, format_result(1, std::string(kMaxAnswerBytes - frame, 'x')));
    {
        ControlClient client = connect();
        const auto answer = ask(client);
        ASSERT_TRUE(answer) << answer.error().what;
        EXPECT_EQ(answer->get<std::string>().size(), kMaxAnswerBytes - frame);
    }
    wait();
    received_.clear();
    host(1, std::string(2 * kMaxAnswerBytes, 'x'));
    ControlClient client = connect();
    const auto answer = ask(client);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ErrorKind::kIo);
    EXPECT_THAT(answer.error().what, HasSubstr("too long"));
}

TEST_F(ControlClientTest, NobodyListens) {
    listener_.reset();
    for (const fs::path& path : {path_, dir_.path() / "none.sock", dir_.path() / "none" / "control.sock"}) {
        const auto client = ControlClient::connect(path);
        ASSERT_FALSE(client) << path;
        EXPECT_EQ(client.error().kind, ErrorKind::kNoHost) << path;
        EXPECT_THAT(client.error().what, HasSubstr(path.string()));
        EXPECT_THAT(client.error().hint, HasSubstr("scxhost run"));
    }
}

TEST_F(ControlClientTest, APathThatIsTooLong) {
    const auto client = ControlClient::connect(dir_.path() / std::string(120, 'x'));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind, ErrorKind::kUsage);
}

TEST_F(ControlClientTest, WhoMayNotConnectIsToldWhoMay) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    ASSERT_EQ(::chmod(path_.c_str(), 0660), 0);
    as_other_user(65534, 65534, {}, [&] {
        const auto client = ControlClient::connect(path_);
        ASSERT_FALSE(client);
        EXPECT_EQ(client.error().kind, ErrorKind::kPermission);
        EXPECT_THAT(client.error().hint, HasSubstr("control.group"));
    });
}

} // namespace
} // namespace scxhost
