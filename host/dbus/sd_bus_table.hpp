// SPDX-License-Identifier: GPL-2.0-only
//
// What the interfaces' tables are made of: entries whose functions are C++, and reading and writing of messages.
// Inside host/dbus only.
#pragma once

#include "host/dbus/bridge.hpp"
#include "host/dbus/interfaces.hpp"

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scxhost {

// Result<> Function(Bridge&, sd_bus_message* call): answers the call, now or later, unless it returns an error.
// `names`: of its arguments and results, each with a zero byte behind it.
template <auto Function>
sd_bus_vtable bus_method(const char* member, const char* arguments, const char* results, const char* names) {
    sd_bus_vtable entry{};
    entry.type = _SD_BUS_VTABLE_METHOD;
    entry.flags = SD_BUS_VTABLE_UNPRIVILEGED; // who may is for the Authority to say
    entry.x.method = {
        .member = member,
        .signature = arguments,
        .result = results,
        // The frames above are sd-bus's, in C: no exception may pass through them.
        .handler = [](sd_bus_message* call, void* bridge, sd_bus_error*) noexcept -> int {
            if (const Result<> done = Function(*static_cast<Bridge*>(bridge), call); !done)
                answer_error(call, done.error());
            return 1;
        },
        .offset = 0,
        .names = names,
    };
    return entry;
}

// int Function(const Bridge&, sd_bus_message* out): appends the value.
template <auto Function>
sd_bus_vtable bus_property(const char* member, const char* type) {
    sd_bus_vtable entry{};
    entry.type = _SD_BUS_VTABLE_PROPERTY;
    entry.flags = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;
    entry.x.property = {
        .member = member,
        .signature = type,
        .get = [](sd_bus*, const char*, const char*, const char*, sd_bus_message* out, void* bridge,
                  sd_bus_error*) noexcept -> int { return Function(*static_cast<const Bridge*>(bridge), out); },
        .set = nullptr,
        .offset = 0,
    };
    return entry;
}

inline Error unreadable_call(int code) {
    return fail_errno(ErrorKind::kUsage, "the call's arguments cannot be read", -code).error();
}

template <typename... Places>
Result<> read_arguments(sd_bus_message* call, const char* types, Places... places) {
    if (const int code = sd_bus_message_read(call, types, places...); code < 0)
        return fail(unreadable_call(code));
    return {};
}

inline Result<std::vector<std::string>> read_strings(sd_bus_message* call) {
    std::vector<std::string> result;
    int code = sd_bus_message_enter_container(call, 'a', "s");
    for (const char* text = nullptr; code >= 0 && (code = sd_bus_message_read(call, "s", &text)) > 0;)
        result.emplace_back(text);
    if (code < 0 || (code = sd_bus_message_exit_container(call)) < 0)
        return fail(unreadable_call(code));
    return result;
}

inline int append_strings(sd_bus_message* out, const std::vector<std::string>& texts) {
    int code = sd_bus_message_open_container(out, 'a', "s");
    for (const std::string& text : texts)
        if (code >= 0)
            code = sd_bus_message_append(out, "s", text.c_str());
    return code < 0 ? code : sd_bus_message_close_container(out);
}

// A call that is answered later.
inline std::shared_ptr<sd_bus_message> share(sd_bus_message* call) {
    return {sd_bus_message_ref(call), BusMessageUnref()};
}

// Answers with what `append` appends.
template <typename Append>
Result<> reply(sd_bus_message* call, const Append& append) {
    sd_bus_message* out = nullptr;
    int code = sd_bus_message_new_method_return(call, &out);
    const BusMessage owner(out);
    if (code >= 0)
        code = append(out);
    if (code >= 0)
        code = sd_bus_send(nullptr, out, nullptr);
    if (code < 0)
        return fail_errno(ErrorKind::kIo, "cannot answer", -code);
    return {};
}

} // namespace scxhost
