// SPDX-License-Identifier: GPL-2.0-only
//
// Members of JSON that somebody else has made, another version of the host for instance: what is missing or of another
// type reads as empty.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>

namespace scxhost {

// null: there is none of this name, or `object` is no object.
[[nodiscard]] inline const nlohmann::json& json_member(const nlohmann::json& object, const char* key) {
    static const nlohmann::json none;
    if (!object.is_object())
        return none;
    const auto found = object.find(key);
    return found == object.end() ? none : *found;
}

[[nodiscard]] inline std::string json_text(const nlohmann::json& object, const char* key) {
    const nlohmann::json& found = json_member(object, key);
    return found.is_string() ? found.get<std::string>() : std::string();
}

// Of one that is too large: some negative number.
[[nodiscard]] inline std::int64_t json_integer(const nlohmann::json& object, const char* key) {
    const nlohmann::json& found = json_member(object, key);
    return found.is_number_integer() ? found.get<std::int64_t>() : 0;
}

} // namespace scxhost
