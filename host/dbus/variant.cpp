// SPDX-License-Identifier: GPL-2.0-only
#include "host/dbus/variant.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <string>

namespace scxhost {
namespace {

// Containers within containers that a D-Bus message may have are 64; ours need few.
constexpr int kMaxDepth = 24;

int append_members(sd_bus_message* message, const nlohmann::json& object, int depth);

int append_variant(sd_bus_message* message, const nlohmann::json& value, int depth) {
    if (value.is_boolean())
        return sd_bus_message_append(message, "v", "b", static_cast<int>(value.get<bool>()));
    if (value.is_number_integer())
        return sd_bus_message_append(message, "v", "x", value.get<std::int64_t>());
    if (value.is_number())
        return sd_bus_message_append(message, "v", "d", value.get<double>());
    if (value.is_string()) {
        std::string text = value.get<std::string>();
        std::ranges::replace(text, '\0', ' '); // D-Bus has none
        return sd_bus_message_append(message, "v", "s", text.c_str());
    }
    const char* contents = value.is_array() ? "av" : "a{sv}";
    int code = sd_bus_message_open_container(message, 'v', contents);
    if (code >= 0 && value.is_array()) {
        code = sd_bus_message_open_container(message, 'a', "v");
        for (const nlohmann::json& element : value)
            if (code >= 0 && !element.is_null() && depth < kMaxDepth)
                code = append_variant(message, element, depth + 1);
        if (code >= 0)
            code = sd_bus_message_close_container(message);
    } else if (code >= 0) {
        code = append_members(message, value, depth);
    }
    return code < 0 ? code : sd_bus_message_close_container(message);
}

int append_members(sd_bus_message* message, const nlohmann::json& object, int depth) {
    int code = sd_bus_message_open_container(message, 'a', "{sv}");
    for (const auto& [key, value] : object.items()) {
        if (value.is_null() || depth >= kMaxDepth)
            continue;
        if (code >= 0)
            code = sd_bus_message_open_container(message, 'e', "sv");
        if (code >= 0)
            code = sd_bus_message_append(message, "s", key.c_str());
        if (code >= 0)
            code = append_variant(message, value, depth + 1);
        if (code >= 0)
            code = sd_bus_message_close_container(message);
    }
    return code < 0 ? code : sd_bus_message_close_container(message);
}

} // namespace

int append_object(sd_bus_message* message, const nlohmann::json& object) {
    return append_members(message, object.is_object() ? object : nlohmann::json::object(), 0);
}

} // namespace scxhost
