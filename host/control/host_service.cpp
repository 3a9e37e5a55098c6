// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/host_service.hpp"

#include "host/config/selection.hpp"
#include "host/control/protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace scxhost {
namespace {

using nlohmann::json;

Error wrong_parameter(std::string_view key, std::string_view expected) {
    return {.kind = ErrorKind::kUsage, .what = fmt::format("{}: expected {}", key, expected)};
}

Result<bool> flag(const json& params, const char* key, bool fallback) {
    const auto found = params.find(key);
    if (found == params.end() || found->is_null())
        return fallback;
    if (!found->is_boolean())
        return fail(wrong_parameter(key, "true or false"));
    return found->get<bool>();
}

Result<std::vector<std::string>> strings(const json& params, const char* key) {
    std::vector<std::string> result;
    const auto found = params.find(key);
    if (found == params.end() || found->is_null())
        return result;
    if (!found->is_array() || !std::ranges::all_of(*found, [](const json& entry) { return entry.is_string(); }))
        return fail(wrong_parameter(key, "a list of strings"));
    for (const json& entry : *found)
        result.push_back(entry.get<std::string>());
    return result;
}

// nullopt: nothing is named, so the configuration is meant.
Result<std::optional<Selection>> selection_of(const json& params) {
    const auto what = params.find("what");
    if (what == params.end() || what->is_null())
        return std::nullopt;
    if (!what->is_string() || what->get<std::string>().empty())
        return fail(wrong_parameter("what", "a plugin's name or an absolute path"));
    Selection selection;
    selection.what = what->get<std::string>();
    // A path is relative to the caller's folder, which is not the host's.
    if (selection.what.find_first_of("/.") != std::string::npos && !selection.what.starts_with('/'))
        return fail(wrong_parameter("what", "an absolute path"));
    selection.assignments = SCXHOST_TRY(strings(params, "set"));
    selection.plugin_dirs = SCXHOST_TRY(strings(params, "plugin_dirs"));
    return selection;
}

} // namespace

const HostService::Method* HostService::find(std::string_view name) {
    static constexpr std::array<Method, 6> kMethods = {{
        {"status", false, &HostService::status},
        {"stats", false, &HostService::stats},
        {"check", true, &HostService::check}, // loads into the kernel
        {"swap", true, &HostService::swap},
        {"stop", true, &HostService::stop},
        {"resume", true, &HostService::resume},
    }};
    const auto* found = std::ranges::find(kMethods, name, &Method::name);
    return found == kMethods.end() ? nullptr : found;
}

bool HostService::knows(const std::string& method) const {
    return find(method) != nullptr;
}

bool HostService::changes(const std::string& method) const {
    const Method* found = find(method);
    return found == nullptr || found->changes;
}

void HostService::call(const std::string& method, const json& params, Reply reply) {
    (this->*find(method)->run)(params, reply);
}

void HostService::status(const json&, const Reply& reply) {
    json result = supervisor_.status();
    result["protocol"] = kProtocolVersion;
    reply(std::move(result));
}

void HostService::stats(const json&, const Reply& reply) {
    reply(supervisor_.statistics());
}

void HostService::swap(const json& params, const Reply& reply) {
    // Whether the caller waits for the outcome.
    const auto ask = [&]() -> Result<bool> {
        const bool wait = SCXHOST_TRY(flag(params, "wait", true));
        const bool force = SCXHOST_TRY(flag(params, "force", false));
        const std::optional<Selection> selection = SCXHOST_TRY(selection_of(params));
        Supervisor::OutcomeCallback done;
        if (wait)
            done = [reply](const SwapReport& report) { reply(to_json(report)); };
        if (selection)
            SCXHOST_TRY(request(*selection, force, std::move(done)));
        else
            SCXHOST_TRY(supervisor_.reload(force, std::move(done)));
        return wait;
    };
    const Result<bool> waits = ask();
    if (!waits)
        return reply(fail(waits.error()));
    if (!*waits)
        reply(json{{"outcome", "accepted"}, {"phase", to_string(supervisor_.phase())}});
}

Result<> HostService::request(const Selection& selection, bool force, Supervisor::OutcomeCallback done) {
    return supervisor_.request(SCXHOST_TRY(select_config(selection)), force, std::move(done));
}

void HostService::stop(const json&, const Reply& reply) {
    supervisor_.stop();
    reply(json{{"phase", to_string(supervisor_.phase())}});
}

void HostService::resume(const json&, const Reply& reply) {
    supervisor_.resume();
    reply(json{{"phase", to_string(supervisor_.phase())}});
}

void HostService::check(const json& params, const Reply& reply) {
    const auto ask = [&]() -> Result<> {
        const std::optional<Selection> selection = SCXHOST_TRY(selection_of(params));
        if (!selection)
            return fail(wrong_parameter("what", "a plugin's name or an absolute path"));
        supervisor_.check(SCXHOST_TRY(select_config(*selection)), [reply](Result<std::vector<std::string>> notes) {
            reply(notes ? Result<json>(json{{"ok", true}, {"notes", *notes}}) : fail(notes.error()));
        });
        return {};
    };
    if (const Result<> asked = ask(); !asked)
        reply(fail(asked.error()));
}

} // namespace scxhost
