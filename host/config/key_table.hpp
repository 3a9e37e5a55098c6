// SPDX-License-Identifier: GPL-2.0-only
//
// Every key of the configuration, once: its name, what it may hold, where it goes and what it means. The reader, its
// errors and the reference in the documentation all come from this table; the defaults are those of Config itself.
// Inside host/config only.
#pragma once

#include "host/config/config.hpp"

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace scxhost {

// Where a key's value stands in a Config.
template <typename T>
using Place = T& (*)(Config&);

// What a string must look like.
struct Grammar {
    std::string_view noun; // "a plugin name"
    std::string_view hint;
    bool (*accepts)(std::string_view);
};

struct BoolKey {
    Place<bool> at;
};
struct IntKey {
    Place<std::int64_t> at;
    std::int64_t min;
    std::int64_t max;
};
struct SizeKey {
    Place<std::uint64_t> at; // bytes
    std::uint64_t min;
    std::uint64_t max;
};
struct DurationKey {
    Place<std::chrono::nanoseconds> at;
    std::chrono::nanoseconds min;
    std::chrono::nanoseconds max;
};
struct WordKey {
    Place<std::string> at;
    const Grammar* grammar;
};
struct WordListKey {
    Place<std::vector<std::string>> at;
    const Grammar* grammar;
};
struct PathKey {
    Place<std::filesystem::path> at;
    bool relative_allowed; // then it is relative to the file's folder
    std::size_t max_bytes; // 0: as long as the system allows
};
struct PathListKey {
    Place<std::vector<std::filesystem::path>> at; // absolute ones
};
struct LevelKey {
    Place<LogLevel> at;
};
// A whole sub-table of settings that only the scheduler knows.
struct SettingsKey {
    Place<std::vector<Setting>> at;
};
// An array of tables, in whose order they are carried out.
struct CallsKey {
    Place<std::vector<Config::Call>> at;
};

using KeyKind = std::variant<BoolKey, IntKey, SizeKey, DurationKey, WordKey, WordListKey, PathKey, PathListKey,
                             LevelKey, SettingsKey, CallsKey>;

struct KeySpec {
    std::string_view key; // "swap.probation"
    KeyKind kind;
    std::string_view help;              // one sentence, no full stop
    std::string_view default_text = {}; // in place of the value in Config, where that is not fixed
};

[[nodiscard]] std::span<const KeySpec> config_keys();
// Of a table [[below]], those that no other table has: "below.cgroup". They are no settings of the host: no section,
// and not to be overridden.
[[nodiscard]] std::span<const KeySpec> branch_keys();
// The key of the host's that the key `name` of a table [[below]] stands for; nullptr: there is none.
[[nodiscard]] const KeySpec* find_branch_key(std::string_view name);
// Of a table [[delegate]]: "delegate.user"; likewise. They are stored in the last one of Config::delegates.
[[nodiscard]] std::span<const KeySpec> delegate_keys();
[[nodiscard]] const KeySpec* find_delegate_key(std::string_view name); // "user"
[[nodiscard]] const KeySpec* find_key(std::string_view key);           // nullptr: unknown
[[nodiscard]] const std::vector<std::string>& config_sections();       // "scheduler", "host", ...

// Checks the setting and stores it; remembers its place. `folder` is what a relative path is relative to. `config` is
// untouched when it fails. A SettingsKey and a CallsKey take no value of their own: not_a_table().
[[nodiscard]] Result<> store(Config& config, const KeySpec& spec, const Setting& setting,
                             const std::filesystem::path& folder);

// The error of a value where a section or another table belongs.
[[nodiscard]] Error not_a_table(const Setting& setting);

// For the documentation: "duration, from 0s to 1h", and the value that the key has in `config`, as TOML.
[[nodiscard]] std::string describe_kind(const KeySpec& spec);
// The words that it may hold; none for what is no choice.
[[nodiscard]] std::vector<std::string> words_of(const KeySpec& spec);
[[nodiscard]] std::string format_key_value(const KeySpec& spec, Config& config);

} // namespace scxhost
