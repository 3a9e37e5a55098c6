// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/protocol.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;

json without_newline(const std::string& line) {
    EXPECT_THAT(line, EndsWith("\n"));
    EXPECT_EQ(line.find('\n'), line.size() - 1) << "one message, one line";
    return json::parse(line);
}

TEST(ParseCall, ThereAndBack) {
    const Call call{.id = 7, .method = "swap", .params = {{"what", "qmap"}, {"set", {"slice=5ms"}}}};
    const std::string line = format_call(call);
    without_newline(line);
    const auto back = parse_call(line);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->id, call.id);
    EXPECT_EQ(back->method, call.method);
    EXPECT_EQ(back->params, call.params);
}

TEST(ParseCall, ParametersMayBeLeftOut) {
    const auto call = parse_call(R"({"jsonrpc":"2.0","id":"a","method":"status"})");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->id, "a");
    EXPECT_EQ(call->params, json::object());
}

TEST(ParseCall, WithoutAnIdItIsANotification) {
    const auto call = parse_call(R"({"jsonrpc":"2.0","method":"stop"})");
    ASSERT_TRUE(call);
    EXPECT_TRUE(call->id.is_null());
}

TEST(ParseCall, IdsAreKeptAsTheyAre) {
    for (const char* id : {"0", "-1", "9223372036854775807", "18446744073709551615", "-9223372036854775808", R"("")",
                           R"("18446744073709551616")", R"("\u0000\n")", "null"}) {
        const auto call = parse_call(fmt::format(R"({{"jsonrpc":"2.0","id":{},"method":"x"}})", id));
        ASSERT_TRUE(call) << id;
        EXPECT_EQ(call->id, json::parse(id)) << id;
        EXPECT_EQ(without_newline(format_result(call->id, nullptr))["id"], json::parse(id)) << id;
    }
}

struct BadLine {
    std::string line;
    RpcError code;
    std::string message;
    json id = nullptr;
};

TEST(ParseCall, WhatIsNoCall) {
    const std::string long_id(300, 'i');
    const std::vector<BadLine> lines = {
        {"", RpcError::kParse, "not a JSON value"},
        {"status", RpcError::kParse, "not a JSON value"},
        {"GET / HTTP/1.1\r", RpcError::kParse, "not a JSON value"},
        {R"({"jsonrpc":"2.0")", RpcError::kParse, "not a JSON value"},
        {R"({"jsonrpc":"2.0"} {})", RpcError::kParse, "not a JSON value"},
        {std::string("\0\0\0", 3), RpcError::kParse, "not a JSON value"},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"x\"}", RpcError::kParse, "not a JSON value"},
        {R"({"jsonrpc":"2.0","id":1,"method":"x","params":{"n":1e999}})", RpcError::kParse, "not a JSON value"},
        {R"([{"jsonrpc":"2.0","id":1,"method":"status"}])", RpcError::kInvalidRequest, "batches"},
        {"[]", RpcError::kInvalidRequest, "batches"},
        {"7", RpcError::kInvalidRequest, "a JSON object"},
        {"null", RpcError::kInvalidRequest, "a JSON object"},
        {R"("status")", RpcError::kInvalidRequest, "a JSON object"},
        {R"({"jsonrpc":"2.0","id":1.5,"method":"x"})", RpcError::kInvalidRequest, "id"},
        {R"({"jsonrpc":"2.0","id":18446744073709551616,"method":"x"})", RpcError::kInvalidRequest, "id"},
        {R"({"jsonrpc":"2.0","id":{},"method":"x"})", RpcError::kInvalidRequest, "id"},
        {R"({"jsonrpc":"2.0","id":true,"method":"x"})", RpcError::kInvalidRequest, "id"},
        {fmt::format(R"({{"jsonrpc":"2.0","id":"{}","method":"x"}})", long_id), RpcError::kInvalidRequest, "id"},
        {R"({"id":1,"method":"x"})", RpcError::kInvalidRequest, "jsonrpc", 1},
        {R"({"jsonrpc":"1.0","id":"a","method":"x"})", RpcError::kInvalidRequest, "jsonrpc", "a"},
        {R"({"jsonrpc":2.0,"id":1,"method":"x"})", RpcError::kInvalidRequest, "jsonrpc", 1},
        {R"({"jsonrpc":"2.0","id":1})", RpcError::kInvalidRequest, "method", 1},
        {R"({"jsonrpc":"2.0","id":1,"method":""})", RpcError::kInvalidRequest, "method", 1},
        {R"({"jsonrpc":"2.0","id":1,"method":["x"]})", RpcError::kInvalidRequest, "method", 1},
        {R"({"jsonrpc":"2.0","id":1,"method":"x","params":["qmap"]})", RpcError::kInvalidParams, "params", 1},
        {R"({"jsonrpc":"2.0","id":1,"method":"x","params":null})", RpcError::kInvalidParams, "params", 1},
    };
    for (const BadLine& bad : lines) {
        const auto call = parse_call(bad.line);
        ASSERT_FALSE(call) << bad.line;
        EXPECT_EQ(call.error().code, bad.code) << bad.line;
        EXPECT_THAT(call.error().message, HasSubstr(bad.message)) << bad.line;
        EXPECT_EQ(call.error().id, bad.id) << bad.line;
    }
}

// The parser's own stack, the value that it builds, and that value's end: none may go as deep as the sender likes.
TEST(ParseCall, NestingIsLimited) {
    constexpr std::size_t kDeep = 100'000;
    const auto with_params = [](const std::string& value) {
        return fmt::format(R"({{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{}}}}})", value);
    };
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    std::string objects;
    for (std::size_t i = 0; i < kDeep; ++i)
        objects += R"({"a":)";
    EXPECT_TRUE(parse_call(with_params(nested(8))));
    for (const std::string& line :
         {nested(kDeep), std::string(kDeep, '['), with_params(nested(kDeep)), with_params(nested(64)), objects,
          objects + "1" + std::string(kDeep, '}'), with_params(std::string(kDeep, '['))}) {
        const auto call = parse_call(line);
        ASSERT_FALSE(call) << line.substr(0, 80);
        EXPECT_EQ(call.error().code, RpcError::kParse) << line.substr(0, 80);
        EXPECT_FALSE(parse_incoming(line)) << line.substr(0, 80);
    }
}

TEST(ParseCall, TheLastOfTwoEqualKeysCounts) {
    const auto call = parse_call(R"({"jsonrpc":"2.0","id":1,"method":"stop","id":2,"method":"status"})");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->id, 2);
    EXPECT_EQ(call->method, "status");
}

TEST(Format, ForeignTextNeedNotBeUtf8) {
    const json event = {{"event", "left"}, {"dump", "comm=\xff\xfe\n\x1b[31m"}};
    const json message = without_newline(format_event(event));
    EXPECT_EQ(message["method"], "event");
    EXPECT_EQ(message["params"]["dump"], "comm=\xef\xbf\xbd\xef\xbf\xbd\n\x1b[31m");
}

TEST(ParseIncoming, Answer) {
    const auto incoming = parse_incoming(format_result(3, {{"phase", "good"}}));
    ASSERT_TRUE(incoming);
    EXPECT_FALSE(incoming->event);
    EXPECT_EQ(incoming->id, 3);
    ASSERT_TRUE(incoming->answer && *incoming->answer);
    EXPECT_EQ(**incoming->answer, json({{"phase", "good"}}));
}

TEST(ParseIncoming, AnswerOfNull) {
    const auto incoming = parse_incoming(format_result(3, nullptr));
    ASSERT_TRUE(incoming);
    ASSERT_TRUE(incoming->answer && *incoming->answer);
    EXPECT_TRUE((*incoming->answer)->is_null());
}

TEST(ParseIncoming, Event) {
    const auto incoming = parse_incoming(format_event({{"event", "settled"}, {"outcome", "good"}}));
    ASSERT_TRUE(incoming);
    EXPECT_FALSE(incoming->answer);
    ASSERT_TRUE(incoming->event);
    EXPECT_EQ((*incoming->event)["outcome"], "good");
}

TEST(ParseIncoming, AnErrorIsWhatItWasOnTheOtherSide) {
    const Error error{.kind = ErrorKind::kConfig,
                      .what = "unknown key",
                      .hint = "do you mean slice?",
                      .where = SourceLocation{.file = "/etc/scxhost/a.toml", .line = 4, .column = 2},
                      .detail = "and another one"};
    const std::string line = format_error("id", error);
    EXPECT_EQ(without_newline(line)["error"]["code"], static_cast<int>(RpcError::kFailed));
    const auto incoming = parse_incoming(line);
    ASSERT_TRUE(incoming);
    EXPECT_EQ(incoming->id, "id");
    ASSERT_TRUE(incoming->answer);
    ASSERT_FALSE(*incoming->answer);
    const Error& back = incoming->answer->error();
    EXPECT_EQ(back.kind, error.kind);
    EXPECT_EQ(back.what, error.what);
    EXPECT_EQ(back.hint, error.hint);
    EXPECT_EQ(back.detail, error.detail);
    ASSERT_TRUE(back.where);
    EXPECT_EQ(to_string(*back.where), "/etc/scxhost/a.toml:4:2");
}

TEST(ParseIncoming, AnErrorOfTheProtocolItself) {
    const auto incoming = parse_incoming(format_error(nullptr, RpcError::kInvalidRequest, "too long"));
    ASSERT_TRUE(incoming && incoming->answer);
    ASSERT_FALSE(*incoming->answer);
    EXPECT_EQ(incoming->answer->error().kind, ErrorKind::kInternal);
    EXPECT_EQ(incoming->answer->error().what, "too long");
    EXPECT_TRUE(incoming->id.is_null());

    const auto unknown = parse_incoming(format_error(1, RpcError::kMethodNotFound, "there is no method \"x\""));
    ASSERT_TRUE(unknown && unknown->answer);
    ASSERT_FALSE(*unknown->answer);
    EXPECT_EQ(unknown->answer->error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(unknown->answer->error().hint, HasSubstr("older"));
}

TEST(ParseIncoming, WhatIsNoMessage) {
    for (const char* line :
         {"", "{", "[]", "7", "{}", R"({"id":1})", R"({"id":1,"error":7})", R"({"id":1,"error":null})",
          R"({"method":"event"})", R"({"method":"event","params":[1]})", "\xff"}) {
        const auto incoming = parse_incoming(line);
        ASSERT_FALSE(incoming) << line;
        EXPECT_EQ(incoming.error().kind, ErrorKind::kIo) << line;
    }
}

} // namespace
} // namespace scxhost
