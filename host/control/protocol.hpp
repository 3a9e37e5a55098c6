// SPDX-License-Identifier: GPL-2.0-only
//
// The control protocol: JSON-RPC 2.0, one message a line, over a UNIX stream socket. docs/control.md is its reference.
// Pure functions on text; what they read may come from anybody and is never trusted.
#pragma once

#include "host/base/result.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace scxhost {

// Grows when a method or field changes its meaning or goes, not when one is added.
inline constexpr int kProtocolVersion = 1;
// Of one request, the newline included.
inline constexpr std::size_t kMaxRequestBytes = 64U << 10U;
// Of one answer or event: a dump of 32 KiB, twice over, in JSON's escapes.
inline constexpr std::size_t kMaxAnswerBytes = 1U << 20U;

struct Call {
    nlohmann::json id; // a string or an integer; null: a notification, which gets no answer
    std::string method;
    nlohmann::json params = nlohmann::json::object();
};

// Numbers of JSON-RPC; kFailed is ours, and the error's data tells more.
enum class RpcError : int {
    kParse = -32700,
    kInvalidRequest = -32600,
    kMethodNotFound = -32601,
    kInvalidParams = -32602,
    kFailed = -32000,
};

// The answer that a line deserves which is no call; `id` as far as it could be read.
struct BadCall {
    nlohmann::json id;
    RpcError code = RpcError::kParse;
    std::string message;
};
[[nodiscard]] std::expected<Call, BadCall> parse_call(std::string_view line);

// Complete lines.
[[nodiscard]] std::string format_call(const Call& call);
[[nodiscard]] std::string format_result(const nlohmann::json& id, const nlohmann::json& result);
[[nodiscard]] std::string format_error(const nlohmann::json& id, RpcError code, std::string_view message,
                                       const nlohmann::json& data = nullptr);
[[nodiscard]] std::string format_error(const nlohmann::json& id, const Error& error);
[[nodiscard]] std::string format_event(const nlohmann::json& event);

// What a client reads: the answer to the call with this id, or an event.
struct Incoming {
    std::optional<nlohmann::json> event;
    std::optional<Result<nlohmann::json>> answer;
    nlohmann::json id;
};
[[nodiscard]] Result<Incoming> parse_incoming(std::string_view line);

} // namespace scxhost
