// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/private_parts.hpp"

#include "host/base/json_fields.hpp"

#include <iterator>
#include <string>

namespace scxhost {
namespace {

// A program's arguments and environment are among its options, by these names.
bool is_private_key(const std::string& key) {
    return key == "detail" || key == "dump" || key == "output" || key == "args" || key.starts_with("env.");
}

} // namespace

void drop_private(nlohmann::json& value) {
    if (value.is_object()) {
        for (auto member = value.begin(); member != value.end();)
            member = is_private_key(member.key()) ? value.erase(member) : std::next(member);
        // In quarantine the options are one text.
        if (json_member(value, "options").is_string())
            value.erase("options");
    }
    if (value.is_structured())
        for (nlohmann::json& member : value)
            drop_private(member);
}

bool is_private(const nlohmann::json& event) {
    return json_text(event, "event") == "output";
}

} // namespace scxhost
