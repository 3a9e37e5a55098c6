// SPDX-License-Identifier: GPL-2.0-only
//
// TOML text as a plain tree with the place of every key and value. The TOML library stays behind this file: its types
// and its exceptions go no further. Inside host/config only.
#pragma once

#include "host/base/result.hpp"
#include "host/config/setting.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace scxhost {

// No configuration comes near. The TOML library recurses once for each part of a dotted key, so the bound on the text
// is also the bound on its stack.
constexpr std::size_t kMaxTomlBytes = 64UL * 1024;

struct TomlNode;
using TomlTable = std::vector<TomlNode>; // in the order of the text
// [[a]]: the tables of an array, each with its place.
struct TomlTables {
    std::vector<std::pair<SourceLocation, TomlTable>> tables;
};

struct TomlNode {
    std::string name; // one part: letters, digits, '_' and '-' only
    SourceLocation key_where;
    SourceLocation where;
    std::variant<SettingValue, TomlTable, TomlTables> content;
};

// The error of a node of TomlTables where there can be none.
[[nodiscard]] Error table_in_array(const std::string& key, const TomlNode& node);

// The setting that a node's value makes under `key`; its elements are named after it.
[[nodiscard]] Setting make_setting(std::string key, SettingValue value, SourceLocation where, SourceLocation key_where);

// `name` stands for the file in every place. Fails with kConfig: not TOML, a NUL byte, too large, a key of other
// characters, tables too deep, or a value that no setting can hold (dates, tables or arrays in arrays).
[[nodiscard]] Result<TomlTable> parse_toml(std::string_view text, const std::string& name);

// A setting from the command line: its value is what TOML reads `text` as, or else the text itself as a string.
[[nodiscard]] Setting typed_setting(std::string key, std::string_view text, const SourceLocation& where);

// A key, or one part of it, as bare TOML keys are written.
[[nodiscard]] bool is_key_part(std::string_view text);

} // namespace scxhost
