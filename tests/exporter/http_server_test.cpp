// SPDX-License-Identifier: GPL-2.0-only
//
// Real connections over the loopback device; the clients are on the script's thread, and do as they like.
#include "host/exporter/http_server.hpp"
#include "tests/exporter/tcp_client.hpp"
#include "tests/support/loop_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using testing::EndsWith;
using testing::StartsWith;

constexpr const char* kRequest = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr const char* kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class HttpServerTest : public testing::Test {
protected:
    void start(HttpServer::Limits limits = {.time = kPatience}) {
        std::vector<UniqueFd> sockets;
        sockets.push_back(listen_at("127.0.0.1:0").value());
        const std::string address = address_of(sockets.front().get());
        port_ = std::stoi(address.substr(address.find(':') + 1));
        server_ = HttpServer::start(script_.loop(), std::move(sockets),
                                    {.respond =
                                         [this](std::string_view request, bool over_loopback) {
                                             requests_.emplace_back(request);
                                             EXPECT_TRUE(over_loopback);
                                             return answer_;
                                         },
                                     .too_long = "TOO LONG",
                                     .came = [this] { ++came_; }},
                                    limits)
                      .value();
    }
    [[nodiscard]] UniqueFd connect() const { return connect_to(port_); }
    void connect(const UniqueFd& fd) const { connect_to(port_, fd); }
    bool wait_for_connections(std::size_t number) {
        return script_.wait_until([&] { return server_->connections() == number; });
    }
    void expect_service() {
        const UniqueFd fd = connect();
        send_text(fd, kRequest);
        EXPECT_EQ(read_all(fd), kAnswer);
    }

    LoopScript script_;
    int port_ = 0;
    int came_ = 0;
    std::string answer_ = kAnswer;
    std::vector<std::string> requests_;
    std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, OneRequestAndItsAnswer) {
    start();
    script_.run([&] {
        const UniqueFd fd = connect();
        send_text(fd, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
        EXPECT_EQ(read_all(fd), kAnswer);
    });
    ASSERT_EQ(requests_.size(), 1U);
    EXPECT_THAT(requests_.front(), StartsWith("GET /x HTTP/1.1\r\n"));
    EXPECT_THAT(requests_.front(), EndsWith("\r\n\r\n"));
    EXPECT_EQ(came_, 1);
}

TEST_F(HttpServerTest, ARequestMayComeInPiecesAndWithOtherEnds) {
    start();
    script_.run([&] {
        const UniqueFd slow = connect();
        for (const char* byte = kRequest; *byte != '\0'; ++byte)
            send_text(slow, {byte, 1});
        EXPECT_EQ(read_all(slow), kAnswer);
        const UniqueFd bare = connect();
        send_text(bare, "GET / HTTP/1.0\n\n");
        EXPECT_EQ(read_all(bare), kAnswer);
        // Who has nothing more to say still hears the answer.
        const UniqueFd half = connect();
        send_text(half, kRequest);
        ::shutdown(half.get(), SHUT_WR);
        EXPECT_EQ(read_all(half), kAnswer);
        // A body, or a second request, is passed over, and does not cost the answer.
        const UniqueFd more = connect();
        send_text(more,
                  std::string("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n") + std::string(1'000'000, 'x'));
        EXPECT_EQ(read_all(more), kAnswer);
    });
    EXPECT_EQ(requests_.size(), 4U);
    EXPECT_EQ(requests_.back(), "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
}

TEST_F(HttpServerTest, HeadersHaveALimit) {
    start({.request_bytes = 100, .time = kPatience});
    script_.run([&] {
        const UniqueFd endless = connect();
        send_text(endless, std::string(200, 'x'));
        EXPECT_EQ(read_all(endless), "TOO LONG");
        const UniqueFd large = connect();
        send_text(large, "GET / HTTP/1.1\r\nX: " + std::string(100, 'x') + "\r\n\r\n");
        EXPECT_EQ(read_all(large), "TOO LONG");
        expect_service();
    });
    EXPECT_EQ(requests_.size(), 1U);
}

// They are cut off, the oldest first, and whoever asks is answered.
TEST_F(HttpServerTest, TheSilentKeepNobodyOut) {
    start({.connections = 4, .time = kPatience});
    script_.run([&] {
        std::vector<UniqueFd> silent;
        for (int i = 0; i < 12; ++i) {
            silent.push_back(connect());
            send_text(silent.back(), "GET / HT");
        }
        expect_service();
        EXPECT_EQ(read_all(silent.front()), "");
        script_.on_loop([&] { EXPECT_LE(server_->connections(), 4U); });
        send_text(silent.back(), "TP/1.1\r\n\r\n");
        EXPECT_EQ(read_all(silent.back()), kAnswer) << "the youngest are still served";
    });
}

// Of whatever is slow: the request, or the reading of the answer.
TEST_F(HttpServerTest, AConnectionHasADeadline) {
    start({.time = std::chrono::milliseconds(200)});
    script_.run([&] {
        const UniqueFd silent = connect();
        send_text(silent, "GET / HTTP/1.1\r\n");
        EXPECT_EQ(read_all(silent), "");
        script_.on_loop([&] { answer_.assign(std::size_t{64} << 20, 'a'); });
        const UniqueFd deaf = connect();
        send_text(deaf, kRequest);
        EXPECT_TRUE(wait_for_connections(0));
        EXPECT_LT(read_all(deaf).size(), std::size_t{64} << 20);
    });
    EXPECT_EQ(requests_.size(), 1U);
}

// Without a descriptor for it a client stays in the queue, and nobody is there to be cut off.
TEST_F(HttpServerTest, WithoutDescriptorsClientsWait) {
    start();
    script_.run([&] {
        expect_service();
        EXPECT_TRUE(wait_for_connections(0));
        const UniqueFd next(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        rlimit before{};
        ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
        rlimit none = before;
        {
            const UniqueFd lowest_free(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            none.rlim_cur = static_cast<rlim_t>(lowest_free.get());
        }
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
        connect(next);
        EXPECT_TRUE(script_.wait_until([&] { return server_->pauses(); })) << "it looks again and again";
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
        send_text(next, kRequest);
        EXPECT_EQ(read_all(next), kAnswer) << "then it is let in";
        script_.on_loop([&] { EXPECT_FALSE(server_->pauses()); });
    });
}

TEST_F(HttpServerTest, WhoHangsUpIsForgotten) {
    start();
    script_.run([&] {
        {
            const UniqueFd gone = connect();
            send_text(gone, "GET");
            EXPECT_TRUE(wait_for_connections(1));
        }
        EXPECT_TRUE(wait_for_connections(0));
        expect_service();
        EXPECT_TRUE(wait_for_connections(0));
    });
}

TEST(ListenAt, AddressesAreNumbers) {
    EXPECT_THAT(address_of(listen_at("127.0.0.1:0").value().get()), StartsWith("127.0.0.1:"));
    if (const Result<UniqueFd> six = listen_at("[::1]:0"))
        EXPECT_THAT(address_of(six->get()), StartsWith("[::1]:"));
    if (const Result<UniqueFd> all = listen_at("[::]:0")) {
        const std::string address = address_of(all->get());
        EXPECT_THAT(address, StartsWith("[::]:"));
        (void)connect_to(std::stoi(address.substr(address.rfind(':') + 1))); // by IPv4
        int six_only = -1;
        socklen_t size = sizeof six_only;
        EXPECT_EQ(::getsockopt(all->get(), IPPROTO_IPV6, IPV6_V6ONLY, &six_only, &size), 0);
        EXPECT_EQ(six_only, 0);
    }
    for (const char* text : {"", "10616", ":10616", "localhost:10616", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                             "127.0.0.1:-1", "::1:10616", "[127.0.0.1]:10616", "[::1]", "127.0.0.1:http"}) {
        const Result<UniqueFd> wrong = listen_at(text);
        ASSERT_FALSE(wrong) << text;
        EXPECT_EQ(wrong.error().kind, ErrorKind::kUsage) << text;
    }
    const UniqueFd first = listen_at("127.0.0.1:0").value();
    const Result<UniqueFd> second = listen_at(address_of(first.get()));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::kBusy);
}

} // namespace
} // namespace scxhost
