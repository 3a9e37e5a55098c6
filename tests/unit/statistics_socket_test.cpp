// SPDX-License-Identifier: GPL-2.0-only
//
// Against a real socket, whose other end does what it is told.
#include "host/programs/statistics_socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::chrono::seconds kLong(60);
constexpr std::chrono::milliseconds kShort(20);

class StatisticsSocketTest : public testing::Test {
protected:
    // From the client's question on, with the connection; one connection after the other, as often as there are any.
    using Serve = std::function<void(int connection, const std::string& question)>;

    void TearDown() override {
        if (!server_.joinable())
            return;
        socket_ = StatisticsSocket(UniqueFd()); // hangs up
        ::shutdown(listener_.get(), SHUT_RDWR);
        server_.join();
    }

    void serve(Serve serve) {
        listen();
        server_ = std::thread([this, serve = std::move(serve)] {
            for (;;) {
                const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
                if (!connection)
                    return;
                std::string line;
                char c = 0;
                while (::read(connection.get(), &c, 1) == 1) {
                    line += c;
                    if (c == '\n')
                        serve(connection.get(), std::exchange(line, {}));
                }
            }
        });
    }
    void listen() {
        listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        fmt::format_to_n(address.sun_path, sizeof address.sun_path - 1, "{}", (folder_.path() / "stats").c_str());
        ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        ASSERT_EQ(::listen(listener_.get(), 4), 0);
    }
    static void say(int connection, const std::string& text) {
        (void)::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
    }
    [[nodiscard]] UniqueFd root() const {
        return UniqueFd(::open(folder_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    }

    TempDir folder_;
    StatisticsSocket socket_{root(), "stats"};
    UniqueFd listener_;
    std::thread server_;
};

TEST_F(StatisticsSocketTest, AnswersAgainAndAgain) {
    int count = 0;
    serve([&count](int connection, const std::string& question) {
        if (question == kScxStatsMetaQuestion)
            return say(connection,
                       R"({"errno":0,"args":{"resp":{"A":{"top":"true","fields":{"n":{"datum":"u64","desc":"d"}}}}}})"
                       "\n");
        EXPECT_EQ(question, kScxStatsQuestion);
        say(connection, R"({"errno":0,"args":)"); // in pieces
        say(connection, fmt::format("{{\"resp\":{{\"n\":{}}}}}}}\n", ++count));
    });
    for (const int n : {1, 2, 3}) {
        const auto answer = socket_.ask(kLong);
        ASSERT_TRUE(answer) << answer.error().what;
        ASSERT_TRUE(*answer);
        EXPECT_THAT(**answer, ElementsAre(ScxStat{"n", "d", false, n}));
    }
}

TEST_F(StatisticsSocketTest, NobodyServes) {
    EXPECT_EQ(socket_.ask(kLong).value(), std::nullopt) << "no such file";
    listen();
    listener_.reset();
    EXPECT_EQ(socket_.ask(kLong).value(), std::nullopt) << "a socket that was left behind";
    std::filesystem::remove(folder_.path() / "stats");
    folder_.write("stats", "a file");
    EXPECT_EQ(socket_.ask(kLong).value(), std::nullopt) << "no socket";
}

TEST_F(StatisticsSocketTest, ALinkIsNotFollowed) {
    serve([](int connection, const std::string&) { say(connection, "{\"errno\":0,\"args\":{\"resp\":{}}}\n"); });
    std::filesystem::create_symlink(folder_.path() / "stats", folder_.path() / "link");
    StatisticsSocket linked(root(), "link");
    EXPECT_FALSE(linked.ask(kLong));
    StatisticsSocket outside(root(), "../" + folder_.path().filename().string() + "/stats");
    EXPECT_FALSE(outside.ask(kLong));
    EXPECT_TRUE(socket_.ask(kLong));
}

// Nothing of the answer that came too late is taken for the next one.
TEST_F(StatisticsSocketTest, DoesNotAnswerInTime) {
    serve([](int, const std::string&) {});
    for (int i = 0; i < 3; ++i) {
        const auto answer = socket_.ask(kShort);
        ASSERT_FALSE(answer);
        EXPECT_THAT(answer.error().what, HasSubstr("does not answer in time"));
    }
}

TEST_F(StatisticsSocketTest, SaysWhatIsNoAnswer) {
    const std::pair<const char*, const char*> cases[] = {{"{\n", "is no answer"},
                                                         {"{}\n{}\n", "says more than it was asked"}};
    std::string text;
    serve([&text](int connection, const std::string&) { say(connection, text); });
    for (const auto& [line, message] : cases) {
        text = line;
        const auto answer = socket_.ask(kLong);
        ASSERT_FALSE(answer);
        EXPECT_THAT(answer.error().what, HasSubstr(message));
    }
}

TEST_F(StatisticsSocketTest, Floods) {
    serve([](int connection, const std::string&) {
        const std::string text(65536, ' ');
        while (::send(connection, text.data(), text.size(), MSG_NOSIGNAL) > 0) {
        }
    });
    const auto answer = socket_.ask(kLong);
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().what, HasSubstr("has more than"));
}

TEST_F(StatisticsSocketTest, ClosesInPlaceOfAnAnswer) {
    serve([](int connection, const std::string&) { ::shutdown(connection, SHUT_RDWR); });
    const auto answer = socket_.ask(kLong);
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().what, HasSubstr("was closed"));
}

} // namespace
} // namespace scxhost
