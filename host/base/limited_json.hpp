// SPDX-License-Identifier: GPL-2.0-only
//
// JSON that somebody else wrote. nlohmann's parser does not recurse, but destroying what it built does, and so does
// most that walks through it; so depth is checked while it parses. The text's length is the caller's to limit.
#pragma once

#include <nlohmann/json.hpp>

#include <string_view>

namespace scxhost {

// Discarded (is_discarded()): no JSON, or arrays and objects within each other more than `max_depth` deep.
inline nlohmann::json parse_limited(std::string_view text, int max_depth) {
    bool too_deep = false;
    nlohmann::json value = nlohmann::json::parse(
        text,
        [&too_deep, max_depth](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
            too_deep = too_deep || depth > max_depth;
            return !too_deep;
        },
        /*allow_exceptions=*/false);
    if (too_deep)
        return nlohmann::json(nlohmann::json::value_t::discarded);
    return value;
}

} // namespace scxhost
