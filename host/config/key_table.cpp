// SPDX-License-Identifier: GPL-2.0-only
#include "host/config/key_table.hpp"

#include "host/base/capabilities.hpp"
#include "host/base/overloaded.hpp"
#include "host/base/suggest.hpp"
#include "host/base/units.hpp"
#include "host/config/desktop.hpp"
#include "host/config/toml_text.hpp"

#include <sys/un.h>

#include <algorithm>
#include <array>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

template <auto Section, auto Member>
auto& at(Config& config) {
    return (config.*Section).*Member;
}

bool is_c_identifier(std::string_view text) {
    return is_key_part(text) && text.find('-') == std::string_view::npos &&
           !(text.front() >= '0' && text.front() <= '9');
}

bool is_variable(std::string_view text) {
    std::size_t dot = text.find('.');
    for (; dot != std::string_view::npos; dot = text.find('.')) {
        if (!is_c_identifier(text.substr(0, dot)))
            return false;
        text.remove_prefix(dot + 1);
    }
    return is_c_identifier(text);
}

constexpr Grammar kPluginName{
    .noun = "a plugin name",
    .hint = "a name is made of letters, digits, '_' and '-'; for a file write object = \"PATH\" instead of plugin",
    .accepts = is_key_part,
};
constexpr Grammar kFallback{
    .noun = "a plugin name or an absolute path",
    .hint =
        "a name is made of letters, digits, '_' and '-'; a path begins with \"/\" and leads to a program, an object "
        "(x.o) or a configuration (x.toml)",
    .accepts =
        [](std::string_view text) {
            return is_key_part(text) || (text.starts_with('/') && text.find('\0') == std::string_view::npos);
        },
};
constexpr Grammar kOptionalIdentifier{
    .noun = "the name of a struct_ops map",
    .hint = "it is a C identifier, as in the object's source",
    .accepts = [](std::string_view text) { return text.empty() || is_c_identifier(text); },
};
constexpr Grammar kVariable{
    .noun = "the name of a variable",
    .hint = "members of a struct are written a.b",
    .accepts = is_variable,
};
constexpr Grammar kOptionalGroup{
    .noun = "the name of a group",
    .hint = "`getent group` lists the groups of this machine",
    .accepts = [](std::string_view text) { return text.find_first_of(": \t\n,/") == std::string_view::npos; },
};

constexpr Grammar kOptionalUser{
    .noun = "the name of a user",
    .hint = "`getent passwd` lists the users of this machine",
    .accepts = [](std::string_view text) { return text.find_first_of(": \t\n,/") == std::string_view::npos; },
};
constexpr Grammar kCapability{
    .noun = "a capability",
    .hint = "they are called as in capabilities(7): CAP_BPF, CAP_PERFMON, …",
    .accepts = [](std::string_view text) { return find_capability(text).has_value(); },
};
constexpr Grammar kOptionalName{
    .noun = "a name",
    .hint = "a name is made of letters, digits, '_' and '-'",
    .accepts = [](std::string_view text) { return text.empty() || is_key_part(text); },
};
constexpr Grammar kArgument{
    .noun = "an argument of a program",
    .hint = "it cannot hold a NUL byte",
    .accepts = [](std::string_view text) { return text.find('\0') == std::string_view::npos; },
};
constexpr Grammar kWayBack{
    .noun = "a way back",
    .hint = "\"standby\" or \"restart\"",
    .accepts = [](std::string_view text) { return text == "standby" || text == "restart"; },
};

constexpr Grammar kDesktopMode{
    .noun = "a mode",
    .hint = "\"Auto\", \"Gaming\", \"PowerSave\", \"LowLatency\" or \"Server\"",
    .accepts = [](std::string_view text) { return std::ranges::find(kDesktopModes, text) != kDesktopModes.end(); },
};

constexpr Grammar kOptionalDesktopMode{
    .noun = "NAME or NAME:MODE",
    .hint = "such as \"scx_bpfland:PowerSave\", with a name of dbus.schedulers",
    .accepts =
        [](std::string_view text) {
            const std::size_t colon = text.find(':');
            return text.empty() || (is_key_part(text.substr(0, colon)) &&
                                    (colon == text.npos || kDesktopMode.accepts(text.substr(colon + 1))));
        },
};

constexpr Grammar kBranchName{
    .noun = "a name for a branch",
    .hint = "a name is made of letters, digits, '_' and '-'; \"machine\" is the scheduler that is above all",
    .accepts = [](std::string_view text) { return is_key_part(text) && text != "machine"; },
};
constexpr Grammar kCgroup{
    .noun = "a cgroup that a scheduler can be for",
    .hint =
        "write it as /proc/PID/cgroup shows it, such as \"/games.slice\": without /sys/fs/cgroup, \"..\" and a slash "
        "at the end; what is in \"/\" itself stays with the scheduler of the machine",
    .accepts =
        [](std::string_view text) {
            const std::filesystem::path path(text);
            return text.size() > 1 && text.starts_with('/') && !text.ends_with('/') &&
                   text.find('\0') == std::string_view::npos && path.lexically_normal() == path &&
                   !text.starts_with("/sys/fs/cgroup") && std::ranges::find(path, "..") == path.end();
        },
};

constexpr Grammar kUser{
    .noun = "the name or number of a user",
    .hint = "`getent passwd` lists the users of this machine",
    .accepts =
        [](std::string_view text) { return !text.empty() && text.find_first_of(": \t\n,/") == std::string_view::npos; },
};
constexpr Grammar kDelegatedPlugin{
    .noun = "a plugin name",
    .hint = "a delegate chooses among the plugins in the host's own folders, by their names: letters, digits, '_' and "
            "'-'",
    .accepts = is_key_part,
};

// Indexed by LogLevel.
const std::vector<std::string>& level_names() {
    static const std::vector<std::string> names{"error", "warning", "info", "debug", "trace"};
    return names;
}

// A record carries the kernel's dump and the end of its log; a few must fit.
constexpr std::uint64_t kMinIncidentBytes = 1ULL << 20;
constexpr std::uint64_t kMaxIncidentBytes = 1ULL << 40;

constexpr std::uint64_t kMaxProgramMemory = 1ULL << 50;

constexpr std::size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

constexpr std::array kKeys{
    KeySpec{"scheduler.plugin", WordKey{at<&Config::scheduler, &Config::Scheduler::plugin>, &kPluginName},
            "The plugin to run, by name; exactly one of `plugin`, `object` and `program` must be given"},
    KeySpec{"scheduler.object", PathKey{at<&Config::scheduler, &Config::Scheduler::object>, true, 0},
            "A compiled sched_ext object to run without a plugin; a relative path is relative to this file"},
    KeySpec{"scheduler.program", PathKey{at<&Config::scheduler, &Config::Scheduler::program>, false, 0},
            "A scheduler program of its own to host, unmodified; an absolute path"},
    KeySpec{"scheduler.args", WordListKey{at<&Config::scheduler, &Config::Scheduler::args>, &kArgument},
            "The program's arguments, one string each; no shell reads them"},
    KeySpec{"scheduler.env", SettingsKey{at<&Config::scheduler, &Config::Scheduler::env>},
            "The program's environment, beside `PATH`, `HOME` and `LANG`; it gets nothing of the host's own"},
    KeySpec{"scheduler.struct_ops",
            WordKey{at<&Config::scheduler, &Config::Scheduler::struct_ops>, &kOptionalIdentifier},
            "The struct_ops map to attach, for an object that has several; empty means the only one"},
    KeySpec{"scheduler.options", SettingsKey{at<&Config::scheduler, &Config::Scheduler::options>},
            "The scheduler's own options; `scxhost options PLUGIN` lists them"},
    KeySpec{"scheduler.ops", SettingsKey{at<&Config::scheduler, &Config::Scheduler::ops>},
            "Members of the scheduler's struct_ops to set before it is loaded, such as `timeout_ms`"},
    KeySpec{"scheduler.sizes", SettingsKey{at<&Config::scheduler, &Config::Scheduler::sizes>},
            "How many entries a map has, or elements an array that is the last in its section; by its name"},
    KeySpec{"scheduler.variables", SettingsKey{at<&Config::scheduler, &Config::Scheduler::variables>},
            "Global variables that are not read-only, set when the object is loaded and before it is attached"},
    KeySpec{"scheduler.maps", SettingsKey{at<&Config::scheduler, &Config::Scheduler::maps>},
            "Entries of maps, set likewise: one table for each map, with its keys and the members of their values"},
    KeySpec{"scheduler.bpf_programs", SettingsKey{at<&Config::scheduler, &Config::Scheduler::bpf_programs>},
            "Which of the object's programs beside the scheduler's callbacks are loaded and attached, by name"},
    KeySpec{"scheduler.call", CallsKey{at<&Config::scheduler, &Config::Scheduler::calls>},
            "Programs of section `syscall` to run, in this order, before the attach or when it is done"},
    KeySpec{"program.start_timeout", DurationKey{at<&Config::program, &Config::Program::start_timeout>, 100ms, 1h},
            "How long a program may take from its start until it asks to attach its scheduler"},
    KeySpec{
        "program.memory_max", SizeKey{at<&Config::program, &Config::Program::memory_max>, 0, kMaxProgramMemory},
        "The most memory that the program's processes may take together, their BPF maps included; 0 means no limit"},
    KeySpec{"program.pids_max", IntKey{at<&Config::program, &Config::Program::pids_max>, 0, 1'000'000},
            "The most threads that the program's processes may have together; 0 means no limit"},
    KeySpec{
        "program.way_back", WordKey{at<&Config::program, &Config::Program::way_back>, &kWayBack},
        "How the program comes back when its successor fails: \"standby\" has a second process of it wait for that, "
        "\"restart\" starts it anew"},
    KeySpec{"program.user", WordKey{at<&Config::program, &Config::Program::user>, &kOptionalUser},
            "The user that the program runs as; empty means the host's own"},
    KeySpec{"program.capabilities", WordListKey{at<&Config::program, &Config::Program::capabilities>, &kCapability},
            "The capabilities that the program keeps, such as `CAP_BPF`; empty means those that schedulers need"},
    KeySpec{"program.name", WordKey{at<&Config::program, &Config::Program::name>, &kOptionalName},
            "What commands and events call the program; empty means the name of its file"},
    KeySpec{"host.plugin_dirs", PathListKey{at<&Config::host, &Config::Host::plugin_dirs>},
            "Folders that are searched for plugins, in this order; absolute paths", "[\"PREFIX/lib/scxhost/plugins\"]"},
    KeySpec{"host.fallback", WordListKey{at<&Config::host, &Config::Host::fallback>, &kFallback},
            "What is tried in this order when the scheduler is ejected and no last good one is left: plugins by name; "
            "programs, objects (`x.o`) and the schedulers of configurations (`x.toml`) by absolute path"},
    KeySpec{"swap.probation", DurationKey{at<&Config::swap, &Config::Swap::probation>, 0s, 24h},
            "How long a new scheduler is watched; an error in this time brings the previous one back"},
    KeySpec{"swap.expedite_rcu", BoolKey{at<&Config::swap, &Config::Swap::expedite_rcu>},
            "Let the kernel hurry RCU grace periods while schedulers are exchanged, and only then"},
    KeySpec{
        "restart.limit", IntKey{at<&Config::restart, &Config::Restart::limit>, 0, 1000},
        "Failures within `window` that are answered with the next scheduler; one more, and the host leaves it at the "
        "kernel's own until the operator resumes"},
    KeySpec{"restart.window", DurationKey{at<&Config::restart, &Config::Restart::window>, 1s, 24h},
            "The time in which failures are counted"},
    KeySpec{"restart.delay", DurationKey{at<&Config::restart, &Config::Restart::delay>, 0s, 1h},
            "Pause before the second attempt in a row (the first comes at once); each further one waits twice as long"},
    KeySpec{"restart.max_delay", DurationKey{at<&Config::restart, &Config::Restart::max_delay>, 0s, 24h},
            "The longest of these pauses"},
    KeySpec{"stats.interval", DurationKey{at<&Config::stats, &Config::Stats::interval>, 10ms, 24h},
            "Time between two reports of the statistics"},
    KeySpec{
        "stats.variables", WordListKey{at<&Config::stats, &Config::Stats::variables>, &kVariable},
        "Globals and per-CPU array maps of the object to show as statistics, besides those that it declares; members "
        "as `a.b`"},
    KeySpec{"log.level", LevelKey{at<&Config::log, &Config::Log::level>}, "The least important messages to show"},
    KeySpec{"control.socket", PathKey{at<&Config::control, &Config::Control::socket>, false, kMaxSocketPath},
            "The socket on which the host takes commands; an absolute path"},
    KeySpec{"control.group", WordKey{at<&Config::control, &Config::Control::group>, &kOptionalGroup},
            "The group whose members may use the socket; empty, or root, means root only"},
    KeySpec{"control.readers", WordKey{at<&Config::control, &Config::Control::readers>, &kOptionalGroup},
            "A group whose members may look, and change nothing; empty, or root, means none"},
    KeySpec{"incidents.dir", PathKey{at<&Config::incidents, &Config::Incidents::dir>, false, 0},
            "The folder that keeps a record of each failure; an absolute path"},
    KeySpec{"incidents.limit",
            SizeKey{at<&Config::incidents, &Config::Incidents::limit>, kMinIncidentBytes, kMaxIncidentBytes},
            "What the records may take altogether; the oldest ones go first"},
    KeySpec{"dbus.enabled", BoolKey{at<&Config::dbus, &Config::Dbus::enabled>},
            "Let `scxhost dbus` serve desktop tools on the system bus"},
    KeySpec{"dbus.default", WordKey{at<&Config::dbus, &Config::Dbus::default_scheduler>, &kOptionalName},
            "The one of `schedulers` that the tools take for the default; empty means what this file selects"},
    KeySpec{"dbus.default_mode", WordKey{at<&Config::dbus, &Config::Dbus::default_mode>, &kDesktopMode},
            "The mode of that default: `Auto`, `Gaming`, `PowerSave`, `LowLatency` or `Server`"},
    KeySpec{"dbus.schedulers", SettingsKey{at<&Config::dbus, &Config::Dbus::schedulers>},
            "What the tools may choose from, a table for each name: `plugin` or `config`, `options` or `args`, and "
            "`modes.MODE` with the same"},
    KeySpec{"power.power-saver", WordKey{at<&Config::power, &Config::Power::power_saver>, &kOptionalDesktopMode},
            "What `scxhost dbus` runs while power-profiles-daemon's profile is this one: `NAME` or `NAME:MODE` of "
            "`dbus.schedulers`; empty leaves what runs"},
    KeySpec{"power.balanced", WordKey{at<&Config::power, &Config::Power::balanced>, &kOptionalDesktopMode},
            "The same for the profile in between"},
    KeySpec{"power.performance", WordKey{at<&Config::power, &Config::Power::performance>, &kOptionalDesktopMode},
            "The same for the profile for speed"},
};

constexpr std::array kBranchKeys{
    KeySpec{"below.name", WordKey{at<&Config::branch, &Config::Branch::name>, &kBranchName},
            "What commands and events call the branch; without it the last part of its cgroup, without `.slice`",
            "the cgroup's"},
    KeySpec{"below.cgroup", WordKey{at<&Config::branch, &Config::Branch::cgroup>, &kCgroup},
            "The cgroup whose tasks it has, as in `/proc/PID/cgroup`; one that is missing is waited for", "none"},
    KeySpec{"below.create", BoolKey{at<&Config::branch, &Config::Branch::create>},
            "Make the cgroup when it is missing, and remove it at the end if it is empty then"},
};

template <auto Member>
auto& at_last_delegate(Config& config) {
    return config.delegates.back().*Member;
}

constexpr std::array kDelegateKeys{
    KeySpec{"delegate.user", WordKey{at_last_delegate<&Config::Delegate::user>, &kUser},
            "Who may choose: a user's name or number", "none"},
    KeySpec{"delegate.cgroup", WordKey{at_last_delegate<&Config::Delegate::cgroup>, &kCgroup},
            "At the branches of this cgroup and of those below it", "none"},
    KeySpec{"delegate.plugins", WordListKey{at_last_delegate<&Config::Delegate::plugins>, &kDelegatedPlugin},
            "Among these plugins, by name; without any he can stop a branch, resume it, and swap back to what is "
            "configured",
            "`[]`"},
};

// Of other tables. Every key of [scheduler] is one of [[below]] too.
constexpr std::array<std::string_view, 2> kSharedBranchKeys = {"host.fallback", "swap.probation"};

Result<std::string> checked_word(const Setting& setting, const Grammar& grammar) {
    std::string word = SCXHOST_TRY(setting.as_string());
    if (!grammar.accepts(word))
        return fail(
            setting.error(quote_text(word) + " is not " + std::string(grammar.noun), std::string(grammar.hint)));
    return word;
}

Result<std::filesystem::path> checked_path(const Setting& setting) {
    const std::string text = SCXHOST_TRY(setting.as_string());
    if (text.empty())
        return fail(setting.error("the path is empty"));
    if (text.find('\0') != std::string::npos)
        return fail(setting.error("the path holds a NUL byte"));
    return std::filesystem::path(text);
}

Result<std::filesystem::path> absolute_path(const Setting& setting) {
    std::filesystem::path path = SCXHOST_TRY(checked_path(setting));
    if (!path.is_absolute())
        return fail(setting.error("the path " + quote_text(path.native()) + " is not absolute", "start it with \"/\""));
    return path;
}

// Every element of an array through `check`.
template <typename Check>
auto checked_list(const Setting& setting, Check check)
    -> Result<std::vector<typename decltype(check(setting))::value_type>> {
    std::vector<typename decltype(check(setting))::value_type> out;
    for (const Setting& element : SCXHOST_TRY(setting.as_array()))
        out.push_back(SCXHOST_TRY(check(element)));
    return out;
}

struct Storer {
    Config& config;
    const Setting& setting;
    const std::filesystem::path& folder;

    Result<> operator()(const BoolKey& key) const {
        key.at(config) = SCXHOST_TRY(setting.as_bool());
        return {};
    }
    Result<> operator()(const IntKey& key) const {
        key.at(config) = SCXHOST_TRY(setting.as_integer(key.min, key.max));
        return {};
    }
    Result<> operator()(const SizeKey& key) const {
        key.at(config) = SCXHOST_TRY(setting.as_size(key.min, key.max));
        return {};
    }
    Result<> operator()(const DurationKey& key) const {
        key.at(config) = SCXHOST_TRY(setting.as_duration(key.min, key.max));
        return {};
    }
    Result<> operator()(const WordKey& key) const {
        key.at(config) = SCXHOST_TRY(checked_word(setting, *key.grammar));
        return {};
    }
    Result<> operator()(const WordListKey& key) const {
        key.at(config) = SCXHOST_TRY(
            checked_list(setting, [&](const Setting& element) { return checked_word(element, *key.grammar); }));
        return {};
    }
    Result<> operator()(const PathKey& key) const {
        const std::filesystem::path path =
            key.relative_allowed ? folder / SCXHOST_TRY(checked_path(setting)) : SCXHOST_TRY(absolute_path(setting));
        if (key.max_bytes != 0 && path.native().size() > key.max_bytes)
            return fail(setting.error("the path has " + std::to_string(path.native().size()) + " bytes, at most " +
                                      std::to_string(key.max_bytes) + " are possible"));
        key.at(config) = path.lexically_normal();
        return {};
    }
    Result<> operator()(const PathListKey& key) const {
        key.at(config) = SCXHOST_TRY(checked_list(setting, absolute_path));
        return {};
    }
    Result<> operator()(const LevelKey& key) const {
        key.at(config) = static_cast<LogLevel>(SCXHOST_TRY(setting.as_choice(level_names())));
        return {};
    }
    Result<> operator()(const SettingsKey&) const { return fail(not_a_table(setting)); }
    Result<> operator()(const CallsKey&) const {
        return fail(setting.error("expected an array of tables, found " + describe_value(setting.value),
                                  "write [[" + setting.key + "]] in a file, once for each call"));
    }
};

std::string format_list(const auto& items) {
    std::string out = "[";
    for (const auto& item : items)
        out += (out.size() > 1 ? ", " : "") + quote_text(std::string(item), std::string::npos);
    return out + "]";
}

} // namespace

std::span<const KeySpec> config_keys() {
    return kKeys;
}

const KeySpec* find_key(std::string_view key) {
    const auto* const found = std::ranges::find(kKeys, key, &KeySpec::key);
    return found == kKeys.end() ? nullptr : found;
}

std::span<const KeySpec> branch_keys() {
    return kBranchKeys;
}

const KeySpec* find_branch_key(std::string_view name) {
    const std::string own = "below." + std::string(name);
    if (const auto* const found = std::ranges::find(kBranchKeys, own, &KeySpec::key); found != kBranchKeys.end())
        return found;
    for (const std::string_view shared : kSharedBranchKeys)
        if (shared.substr(shared.find('.') + 1) == name)
            return find_key(shared);
    return find_key("scheduler." + std::string(name));
}

std::span<const KeySpec> delegate_keys() {
    return kDelegateKeys;
}

const KeySpec* find_delegate_key(std::string_view name) {
    const auto* const found = std::ranges::find(kDelegateKeys, "delegate." + std::string(name), &KeySpec::key);
    return found == kDelegateKeys.end() ? nullptr : found;
}

const std::vector<std::string>& config_sections() {
    static const std::vector<std::string> sections = [] {
        std::vector<std::string> names;
        for (const KeySpec& spec : kKeys) {
            std::string name(spec.key.substr(0, spec.key.find('.')));
            if (names.empty() || names.back() != name)
                names.push_back(std::move(name));
        }
        return names;
    }();
    return sections;
}

Result<> store(Config& config, const KeySpec& spec, const Setting& setting, const std::filesystem::path& folder) {
    SCXHOST_TRY(std::visit(Storer{config, setting, folder}, spec.kind));
    config.places[std::string(spec.key)] = setting.where;
    return {};
}

Error not_a_table(const Setting& setting) {
    return setting.error("expected a table, found " + describe_value(setting.value),
                         "write [" + setting.key + "] on a line of its own, and the table's keys below it");
}

std::string describe_kind(const KeySpec& spec) {
    return std::visit(
        Overloaded{
            [](const BoolKey&) { return std::string("true or false"); },
            [](const IntKey& key) { return "integer, " + describe_range(key.min, key.max); },
            [](const SizeKey& key) { return "size, from " + format_size(key.min) + " to " + format_size(key.max); },
            [](const DurationKey& key) {
                return "duration, from " + format_duration(key.min) + " to " + format_duration(key.max);
            },
            [](const WordKey&) { return std::string("string"); },
            [](const WordListKey&) { return std::string("array of strings"); },
            [](const PathKey&) { return std::string("path"); },
            [](const PathListKey&) { return std::string("array of paths"); },
            [](const LevelKey&) { return list_words(level_names()); },
            [](const SettingsKey&) { return std::string("table"); },
            [](const CallsKey&) { return std::string("array of tables"); },
        },
        spec.kind);
}

std::vector<std::string> words_of(const KeySpec& spec) {
    if (std::holds_alternative<BoolKey>(spec.kind))
        return {"true", "false"};
    return std::holds_alternative<LevelKey>(spec.kind) ? level_names() : std::vector<std::string>{};
}

std::string format_key_value(const KeySpec& spec, Config& config) {
    return std::visit(
        Overloaded{
            [&](const BoolKey& key) { return std::string(key.at(config) ? "true" : "false"); },
            [&](const IntKey& key) { return std::to_string(key.at(config)); },
            [&](const SizeKey& key) { return quote_text(format_size(key.at(config))); },
            [&](const DurationKey& key) { return quote_text(format_duration(key.at(config))); },
            [&](const WordKey& key) { return quote_text(key.at(config), std::string::npos); },
            [&](const WordListKey& key) { return format_list(key.at(config)); },
            [&](const PathKey& key) { return quote_text(key.at(config).native(), std::string::npos); },
            [&](const PathListKey& key) { return format_list(key.at(config)); },
            [&](const LevelKey& key) { return quote_text(level_names()[static_cast<std::size_t>(key.at(config))]); },
            [](const SettingsKey&) { return std::string(); },
            [](const CallsKey&) { return std::string(); },
        },
        spec.kind);
}

} // namespace scxhost
