// SPDX-License-Identifier: GPL-2.0-only
//
// org.scxhost.Host1: what org.scx.Loader lacks. Outcomes of swaps, branches, incidents, and events as they come.
#include "host/config/toml_text.hpp"
#include "host/control/private_parts.hpp"
#include "host/dbus/bridge.hpp"
#include "host/dbus/interfaces.hpp"
#include "host/dbus/sd_bus_table.hpp"
#include "host/dbus/variant.hpp"
#include "host/supervisor/incidents.hpp"

#include <fmt/format.h>

#include <utility>

namespace scxhost {

struct Bridge::Host {
    static Result<> status(Bridge& bridge, sd_bus_message* call) {
        return forward(bridge, call, "status", nlohmann::json::object());
    }

    static Result<> statistics(Bridge& bridge, sd_bus_message* call) {
        return forward(bridge, call, "stats", at_params(SCXHOST_TRY(at(call))));
    }

    // Swap(s name, a{ss} options, s branch)
    static Result<> swap(Bridge& bridge, sd_bus_message* call) {
        const char* name = nullptr;
        SCXHOST_TRY(read_arguments(call, "s", &name));
        const bool is_configured = bridge.find(name) != nullptr;
        if (!is_configured && !is_key_part(name)) // the host reads files as root: no caller of ours is to name them
            return fail(ErrorKind::kUsage, "a scheduler is named as the configuration does, or by its plugin's name");
        std::vector<std::string> options;
        int code = sd_bus_message_enter_container(call, 'a', "{ss}");
        const char* key = nullptr;
        const char* value = nullptr;
        while (code >= 0 && (code = sd_bus_message_read(call, "{ss}", &key, &value)) > 0) {
            if (!is_key_part(key))
                return fail(ErrorKind::kUsage, fmt::format("{} is no option", key));
            options.push_back(fmt::format("scheduler.options.{}={}", key, value));
        }
        if (code < 0 || (code = sd_bus_message_exit_container(call)) < 0)
            return fail(unreadable_call(code));
        const std::string seat = SCXHOST_TRY(at(call));
        const char* action = is_configured && options.empty() ? Authority::kSwitch : Authority::kConfigure;
        bridge.authority_->ask(call, action,
                               [&bridge, kept = share(call), is_configured, name = std::string(name),
                                options = std::move(options), seat](const Result<>& may) {
                                   if (!may)
                                       return answer(kept.get(), may);
                                   // As it is configured now: somebody may have thought about his password for long.
                                   Result<DesktopChoice> choice = DesktopChoice{.what = name, .set = {}};
                                   if (is_configured)
                                       choice = bridge.choose(name, 0);
                                   if (!choice)
                                       return answer_error(kept.get(), choice.error());
                                   choice->set.insert(choice->set.end(), options.begin(), options.end());
                                   bridge.swap(seat, *choice, false, [kept](Result<nlohmann::json> outcome) {
                                       answer_object(kept.get(), std::move(outcome));
                                   });
                               });
        return {};
    }

    static Result<> stop(Bridge& bridge, sd_bus_message* call) { return order(bridge, call, "stop"); }
    static Result<> resume(Bridge& bridge, sd_bus_message* call) { return order(bridge, call, "resume"); }

    // Incidents() -> a(uss): number, time, scheduler. What is in a record is for root and the host's group.
    static Result<> incidents(Bridge& bridge, sd_bus_message* call) {
        const Config::Incidents& kept = bridge.config_.incidents;
        const std::vector<IncidentSummary> all = SCXHOST_TRY(IncidentStore(kept.dir, kept.limit).list());
        return reply(call, [&](sd_bus_message* out) {
            int code = sd_bus_message_open_container(out, 'a', "(uss)");
            for (const IncidentSummary& one : all)
                if (code >= 0)
                    code = sd_bus_message_append(out, "(uss)", one.number, one.time.c_str(), one.scheduler.c_str());
            return code < 0 ? code : sd_bus_message_close_container(out);
        });
    }

private:
    // The branch, as the last argument; empty: the machine's scheduler.
    static Result<std::string> at(sd_bus_message* call) {
        const char* branch = nullptr;
        SCXHOST_TRY(read_arguments(call, "s", &branch));
        return std::string(branch);
    }
    // The same as a parameter of the host's methods.
    static nlohmann::json at_params(const std::string& branch) {
        return branch.empty() ? nlohmann::json::object() : nlohmann::json{{"at", branch}};
    }

    static void answer_object(sd_bus_message* call, Result<nlohmann::json> object) {
        if (!object)
            return answer_error(call, object.error());
        drop_private(*object);
        const Result<> sent = reply(call, [&](sd_bus_message* out) { return append_object(out, *object); });
        if (!sent)
            answer_error(call, sent.error());
    }

    // Of what everybody may ask for, so much is under way at a time: what changes something does not wait behind it.
    static constexpr std::size_t kMaxLooks = 32;

    static Result<> forward(Bridge& bridge, sd_bus_message* call, const char* method, nlohmann::json params) {
        if (sd_bus_message_get_expect_reply(call) <= 0)
            return {};
        if (bridge.link_->calls() >= kMaxLooks)
            return fail(ErrorKind::kBusy, "too many calls wait for the host's answer", "ask again later");
        bridge.link_->call(method, std::move(params), [kept = share(call)](Result<nlohmann::json> result) {
            answer_object(kept.get(), std::move(result));
        });
        return {};
    }

    static Result<> order(Bridge& bridge, sd_bus_message* call, const char* method) {
        const nlohmann::json params = at_params(SCXHOST_TRY(at(call)));
        bridge.authority_->ask(call, Authority::kSwitch,
                               [&bridge, kept = share(call), method, params](const Result<>& may) {
                                   if (!may)
                                       return answer(kept.get(), may);
                                   bridge.link_->call(method, params, [kept](const Result<nlohmann::json>& done) {
                                       answer(kept.get(), done ? Result<>() : fail(done.error()));
                                   });
                               });
        return {};
    }
};

const sd_bus_vtable* host_table() {
    using H = Bridge::Host;
    static const sd_bus_vtable table[] = {
        SD_BUS_VTABLE_START(0),
        bus_method<&H::status>("Status", "", "a{sv}", "status\0"),
        bus_method<&H::statistics>("Statistics", "s", "a{sv}", "branch\0statistics\0"),
        bus_method<&H::swap>("Swap", "sa{ss}s", "a{sv}", "name\0options\0branch\0outcome\0"),
        bus_method<&H::stop>("Stop", "s", "", "branch\0"),
        bus_method<&H::resume>("Resume", "s", "", "branch\0"),
        bus_method<&H::incidents>("Incidents", "", "a(uss)", "incidents\0"),
        SD_BUS_SIGNAL_WITH_NAMES("Event", "ssa{sv}", "name\0seat\0fields\0", 0),
        SD_BUS_VTABLE_END,
    };
    return table;
}

void emit_event(Bus& bus, const std::string& name, const std::string& seat, nlohmann::json event) {
    if (is_private(event))
        return;
    for (const char* elsewhere : {"event", "seat"})
        event.erase(elsewhere);
    drop_private(event);
    sd_bus_message* signal = nullptr;
    int code = sd_bus_message_new_signal(bus.get(), &signal, kHostPath, Bridge::kHost, "Event");
    const BusMessage owner(signal);
    if (code >= 0)
        code = sd_bus_message_append(signal, "ss", name.c_str(), seat.c_str());
    if (code >= 0)
        code = append_object(signal, event);
    if (code >= 0)
        (void)sd_bus_send(bus.get(), signal, nullptr);
}

void answer(sd_bus_message* call, const Result<>& result) {
    if (!result)
        return answer_error(call, result.error());
    (void)sd_bus_reply_method_return(call, "");
}

void answer_error(sd_bus_message* call, const Error& error) {
    const std::string text = error.hint.empty() ? error.what : fmt::format("{} ({})", error.what, error.hint);
    (void)sd_bus_reply_method_errorf(
        call, error.kind == ErrorKind::kPermission ? SD_BUS_ERROR_ACCESS_DENIED : SD_BUS_ERROR_FAILED, "%s",
        text.c_str());
}

} // namespace scxhost
