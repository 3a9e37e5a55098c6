// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/protocol.hpp"

#include "host/base/error_json.hpp"
#include "host/base/json_fields.hpp"
#include "host/base/limited_json.hpp"

namespace scxhost {
namespace {

using nlohmann::json;

// It comes back with the answer, which has a limit of its own.
constexpr std::size_t kMaxIdBytes = 256;
// Deeper than any message of ours.
constexpr int kMaxDepth = 16;

std::string line(const json& message) {
    // Foreign texts (task names in a dump) need not be UTF-8.
    return message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

bool valid_id(const json& id) {
    return id.is_null() || id.is_number_integer() ||
           (id.is_string() && id.get_ref<const std::string&>().size() <= kMaxIdBytes);
}

// An error as the other side had it. One of the protocol itself has no data.
Error error_from(const json& error) {
    const auto data = error.find("data");
    Error result = error_from_json(data == error.end() ? json() : *data);
    if (data == error.end()) {
        const auto code = error.find("code");
        const bool unknown = code != error.end() && *code == static_cast<int>(RpcError::kMethodNotFound);
        result.kind = unknown ? ErrorKind::kUnsupported : ErrorKind::kInternal;
        result.hint = unknown ? "the running host may be older than this program: scxhost status" : "";
    }
    result.what = json_text(error, "message");
    return result;
}

} // namespace

std::expected<Call, BadCall> parse_call(std::string_view text) {
    json message = parse_limited(text, kMaxDepth);
    if (message.is_discarded())
        return std::unexpected(
            BadCall{{}, RpcError::kParse, "not a JSON value of ours (one message a line, not nested deeply)"});
    if (message.is_array())
        return std::unexpected(BadCall{{}, RpcError::kInvalidRequest, "batches are not taken: one message a line"});
    if (!message.is_object())
        return std::unexpected(BadCall{{}, RpcError::kInvalidRequest, "expected a JSON object"});
    Call call;
    if (const auto id = message.find("id"); id != message.end()) {
        if (!valid_id(*id))
            return std::unexpected(BadCall{{}, RpcError::kInvalidRequest, "id: expected an integer or a short string"});
        call.id = *id;
    }
    if (json_text(message, "jsonrpc") != "2.0")
        return std::unexpected(BadCall{call.id, RpcError::kInvalidRequest, "jsonrpc: expected \"2.0\""});
    call.method = json_text(message, "method");
    if (call.method.empty())
        return std::unexpected(BadCall{call.id, RpcError::kInvalidRequest, "method: expected a name"});
    if (const auto params = message.find("params"); params != message.end()) {
        if (!params->is_object())
            return std::unexpected(BadCall{call.id, RpcError::kInvalidParams, "params: expected an object"});
        call.params = std::move(*params);
    }
    return call;
}

std::string format_call(const Call& call) {
    return line({{"jsonrpc", "2.0"}, {"id", call.id}, {"method", call.method}, {"params", call.params}});
}

std::string format_result(const json& id, const json& result) {
    return line({{"jsonrpc", "2.0"}, {"id", id}, {"result", result}});
}

std::string format_error(const json& id, RpcError code, std::string_view message, const json& data) {
    json error = {{"code", static_cast<int>(code)}, {"message", message}};
    if (!data.is_null())
        error["data"] = data;
    return line({{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(error)}});
}

std::string format_error(const json& id, const Error& error) {
    return format_error(id, RpcError::kFailed, error.what, to_json(error));
}

std::string format_event(const json& event) {
    return line({{"jsonrpc", "2.0"}, {"method", "event"}, {"params", event}});
}

Result<Incoming> parse_incoming(std::string_view text) {
    json message = parse_limited(text, kMaxDepth);
    Incoming incoming;
    const auto damaged = [] { return fail(ErrorKind::kIo, "the host sent something that is no message"); };
    if (!message.is_object())
        return damaged();
    if (json_text(message, "method") == "event" && message.contains("params") && message["params"].is_object()) {
        incoming.event = std::move(message["params"]);
        return incoming;
    }
    incoming.id = message.value("id", json());
    if (const auto result = message.find("result"); result != message.end()) {
        incoming.answer = std::move(*result);
        return incoming;
    }
    const auto error = message.find("error");
    if (error == message.end() || !error->is_object())
        return damaged();
    incoming.answer = fail(error_from(*error));
    return incoming;
}

} // namespace scxhost
