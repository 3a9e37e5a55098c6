// SPDX-License-Identifier: GPL-2.0-only
#include "host/exporter/responder.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include <string>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ResponderTest : public testing::Test {
protected:
    // An answer that says how often it was asked for.
    Responder::Ask counting() {
        return [this] { return json{{"uptime_seconds", ++asked_}}; };
    }
    static std::string get(Responder& responder, const std::string& path, const std::string& headers = "",
                           bool over_loopback = true) {
        return responder.respond(fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:10616\r\n{}\r\n", path, headers),
                                 over_loopback);
    }

    int asked_ = 0;
};

TEST_F(ResponderTest, AnswersInTheFormatThatIsAskedFor) {
    Responder responder(counting());
    EXPECT_THAT(get(responder, "/metrics"),
                AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                      HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
                      HasSubstr("\nscxhost_uptime_seconds 1\n"), Not(HasSubstr("# EOF"))));
    EXPECT_THAT(get(responder, "/metrics?x=1", "Accept: application/openmetrics-text; version=1.0.0\r\n"),
                AllOf(HasSubstr("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
                      HasSubstr("\nscxhost_uptime_seconds 1"), EndsWith("\n# EOF\n")));
    EXPECT_THAT(get(responder, "/metrics", "Accept-Encoding: gzip\r\n"),
                AllOf(HasSubstr("Content-Encoding: gzip\r\n"), Not(HasSubstr("scxhost_uptime_seconds"))));
    EXPECT_THAT(get(responder, "/metrics", "Accept-Encoding: gzip;q=0\r\n"),
                AllOf(Not(HasSubstr("Content-Encoding")), HasSubstr("\nscxhost_uptime_seconds 1\n")));
    // Parts of it would be no metrics.
    EXPECT_THAT(get(responder, "/metrics", "Range: bytes=2-3\r\n"),
                AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("\nscxhost_uptime_seconds 1\n")));
}

// What is packed is what was to be read, whole.
TEST_F(ResponderTest, GzipHoldsTheMetrics) {
    Responder responder(counting());
    const auto body_of = [](const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); };
    const std::string answer = get(responder, "/metrics", "Accept-Encoding: deflate, gzip\r\n");
    std::string packed = body_of(answer);
    EXPECT_THAT(answer, HasSubstr(fmt::format("Content-Length: {}\r\n", packed.size())));
    std::string text(1U << 20U, '\0');
    z_stream stream{};
    ASSERT_EQ(::inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(text.data());
    stream.avail_out = static_cast<uInt>(text.size());
    EXPECT_EQ(::inflate(&stream, Z_FINISH), Z_STREAM_END);
    text.resize(stream.total_out);
    ::inflateEnd(&stream);
    EXPECT_EQ(text, body_of(get(responder, "/metrics")));
}

// A connection that is read at its end only needs a length all the same, and HEAD tells that of GET.
TEST_F(ResponderTest, SaysHowLongAnAnswerIs) {
    Responder responder(counting(), std::chrono::hours(1));
    const std::string answer = get(responder, "/metrics");
    const std::size_t headers = answer.find("\r\n\r\n") + 4;
    const std::string length = fmt::format("\r\nContent-Length: {}\r\n", answer.size() - headers);
    EXPECT_THAT(answer, AllOf(HasSubstr(length), HasSubstr("\r\nConnection: close\r\n")));
    EXPECT_EQ(responder.respond("HEAD /metrics HTTP/1.1\r\n\r\n", true), answer.substr(0, headers));
}

TEST_F(ResponderTest, AsksTheHostOnceInAWhile) {
    Responder keeps(counting(), std::chrono::hours(1));
    for (int i = 0; i < 3; ++i)
        EXPECT_THAT(get(keeps, "/metrics"), HasSubstr("\nscxhost_uptime_seconds 1\n"));
    Responder asks(counting(), std::chrono::nanoseconds(0));
    EXPECT_THAT(get(asks, "/metrics"), HasSubstr("\nscxhost_uptime_seconds 2\n"));
    EXPECT_THAT(get(asks, "/metrics"), HasSubstr("\nscxhost_uptime_seconds 3\n"));
}

TEST_F(ResponderTest, NothingElseIsThere) {
    Responder responder(counting());
    EXPECT_THAT(get(responder, "/"), AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("href=\"/metrics\"")));
    for (const char* path : {"/metrics/", "/metric", "//metrics", "/../metrics", "/etc/passwd", "/%00", "*"})
        EXPECT_THAT(get(responder, path), AllOf(StartsWith("HTTP/1.1 404 "), HasSubstr("/metrics"))) << path;
    for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
        EXPECT_THAT(responder.respond(fmt::format("{} /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\n", method), true),
                    AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET, HEAD\r\n")))
            << method;
    EXPECT_EQ(asked_, 0) << "for none of these the host is asked";
    const std::string head = responder.respond("HEAD /metrics HTTP/1.1\r\n\r\n", true);
    EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\n"), Not(HasSubstr("scxhost_"))));
}

// The scrape fails, which Prometheus' own metric `up` says.
TEST_F(ResponderTest, WithoutAHostTheScrapeFailsAndSaysWhy) {
    Responder responder([] -> Result<json> { return fail(ErrorKind::kNoHost, "no host is running", "start one"); });
    EXPECT_THAT(get(responder, "/metrics"), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("Content-Type: text/plain"),
                                                  EndsWith("\r\n\r\nno host is running\nhint: start one\n")));
    EXPECT_THAT(get(responder, "/"), StartsWith("HTTP/1.1 200 "));
}

// A page of somebody else, whose name leads to this machine all of a sudden, reads nothing through a browser here.
TEST_F(ResponderTest, OtherNamesAreNotServedOverLoopback) {
    Responder responder(counting());
    const auto ask = [&](const std::string& host, bool over_loopback) {
        return responder.respond(fmt::format("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", host), over_loopback);
    };
    for (const char* host : {"localhost", "LocalHost:10616", "127.0.0.1", "127.0.0.1:10616", "[::1]", "[::1]:10616"})
        EXPECT_THAT(ask(host, true), StartsWith("HTTP/1.1 200 ")) << host;
    for (const char* host : {"evil.example", "evil.example:10616", "localhost.evil.example", "127.0.0.1.evil.example",
                             "[evil.example]", ":10616", "@127.0.0.1"}) {
        EXPECT_THAT(ask(host, true), StartsWith("HTTP/1.1 403 ")) << host;
        EXPECT_THAT(ask(host, false), StartsWith("HTTP/1.1 200 ")) << host;
    }
    EXPECT_THAT(ask("localhost\r\nHost: localhost", true), StartsWith("HTTP/1.1 400 ")) << "which of them?";
    EXPECT_THAT(responder.respond("GET /metrics HTTP/1.0\r\n\r\n", true), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ResponderTest, WhatIsNoRequestIsRefused) {
    Responder responder(counting());
    const std::string nul("GET /metrics\0 HTTP/1.1\r\n\r\n", 26);
    for (const std::string& request :
         {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET /metrics\r\n\r\n"),
          std::string("GET /metrics HTTP/9.9\r\n\r\n"), std::string("BREW /metrics HTTP/1.1\r\n\r\n"),
          std::string(4096, '\xff') + "\r\n\r\n", std::string("GET /metrics HTTP/1.1\r\nno colon\r\n\r\n"),
          std::string("GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
          std::string("GET /metrics HTTP/1.1\r\nRange: bytes=99999999999999999999999-\r\n\r\n"),
          std::string("POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), nul}) {
        const std::string answer = responder.respond(request, true);
        EXPECT_THAT(answer, testing::AnyOf(StartsWith("HTTP/1.1 4"), StartsWith("HTTP/1.1 200 "))) << request;
    }
    EXPECT_THAT(responder.respond("GARBAGE\r\n\r\n", true), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(responder.respond("GET /metrics HTTP/1.1\n\n", true), StartsWith("HTTP/1.1 400 "));
    // Nothing looks into it, which may take a deep stack.
    EXPECT_THAT(get(responder, "/metrics", "Range: bytes=" + std::string(8000, ',') + "\r\n"),
                StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(get(responder, "/metrics"), StartsWith("HTTP/1.1 200 "));
}

} // namespace
} // namespace scxhost
