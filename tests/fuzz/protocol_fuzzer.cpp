// SPDX-License-Identifier: GPL-2.0-only
//
// Any line is either a message or an error, on both ends of the control socket; what was read as a message reads the
// same when it is written again.
#include "host/control/protocol.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

void require(bool condition) {
    if (!condition)
        std::abort();
}

// One line, whatever is in it.
void require_line(std::string_view line) {
    require(line.find('\n') == line.size() - 1);
}

void as_host(std::string_view text) {
    const auto call = scxhost::parse_call(text);
    if (!call) {
        require(!call.error().message.empty());
        require_line(scxhost::format_error(call.error().id, call.error().code, call.error().message));
        return;
    }
    require(!call->method.empty() && call->params.is_object());
    require_line(scxhost::format_result(call->id, call->params));
    const std::string line = scxhost::format_call(*call);
    require_line(line);
    const auto again = scxhost::parse_call(line);
    require(again && again->id == call->id && again->method == call->method && again->params == call->params);
}

void as_client(std::string_view text) {
    const auto incoming = scxhost::parse_incoming(text);
    if (!incoming) {
        require(!incoming.error().what.empty());
        return;
    }
    require(incoming->event.has_value() != incoming->answer.has_value());
    if (incoming->event) {
        require_line(scxhost::format_event(*incoming->event));
        return;
    }
    const auto& answer = *incoming->answer;
    const std::string line =
        answer ? scxhost::format_result(incoming->id, *answer) : scxhost::format_error(incoming->id, answer.error());
    require_line(line);
    const auto again = scxhost::parse_incoming(line);
    require(again && again->answer && again->id == incoming->id && again->answer->has_value() == answer.has_value());
    if (answer)
        require(**again->answer == *answer);
    else
        require((*again->answer).error().kind == answer.error().kind &&
                (*again->answer).error().what == answer.error().what);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    as_host(text);
    as_client(text);
    return 0;
}
