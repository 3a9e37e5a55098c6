// SPDX-License-Identifier: GPL-2.0-only
//
// Any line is either a message or an error, on both ends of the control socket; what was read as a message reads the
// same when it is written again. Of what a delegate may, whatever he sends, nothing is more than his list.
#include "host/control/delegation.hpp"
#include "host/control/protocol.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

void require(bool condition) {
    if (!condition)
        std::abort();
}

// One line, whatever is in it.
void require_line(std::string_view line) {
    require(line.find('\n') == line.size() - 1);
}

void as_delegate(const scxhost::Call& call) {
    static const scxhost::Delegation rules(
        {{.uid = 1, .user = "alice", .cgroup = "/games", .plugins = {"simple", "qmap"}}});
    static const std::vector<scxhost::Config::Branch> branches = {{.name = "games", .cgroup = "/games"},
                                                                  {.name = "work", .cgroup = "/work"}};
    if (!rules.check({.uid = 1, .method = call.method, .params = call.params, .branches = branches}))
        return;
    if (call.method == "status" || call.method == "metrics")
        return;
    require(call.params.at("at") == "games");
    require(call.method == "swap" || call.method == "stop" || call.method == "resume" || call.method == "stats");
    if (call.method != "swap")
        return;
    const nlohmann::json what = call.params.value("what", nlohmann::json());
    require(what.is_null() || what == "simple" || what == "qmap");
    for (const char* never : {"program", "object", "force"})
        require(!call.params.contains(never) || call.params.at(never).empty() || call.params.at(never) == false);
}

void as_host(std::string_view text) {
    const auto call = scxhost::parse_call(text);
    if (!call) {
        require(!call.error().message.empty());
        require_line(scxhost::format_error(call.error().id, call.error().code, call.error().message));
        return;
    }
    require(!call->method.empty() && call->params.is_object());
    as_delegate(*call);
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
