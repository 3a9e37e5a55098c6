// SPDX-License-Identifier: GPL-2.0-only
//
// The configuration: which scheduler, with which options, and how the host behaves. A TOML file is read into one typed
// structure, whose member initialisers are the defaults; unknown keys are errors. Options of the scheduler stay
// settings (setting.hpp): only the plugin or object knows them, and nothing here knows BPF.
#pragma once

#include "host/base/result.hpp"
#include "host/config/setting.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// The prefix that this program is installed in, found from the program's own path: an installation works wherever it
// was put, and so does a build tree.
[[nodiscard]] std::filesystem::path installation_prefix();
// lib/scxhost/plugins below it.
[[nodiscard]] std::filesystem::path default_plugin_dir();

enum class LogLevel { kError, kWarning, kInfo, kDebug, kTrace };

struct Config {
    // A run of one of the object's programs that the kernel runs only when asked to ([[scheduler.call]]).
    struct Call {
        std::string program;          // of SEC("syscall")
        std::vector<Setting> context; // members of its context, by name
        bool attached = false;        // once the scheduler runs; else before it is attached
        SourceLocation where;         // of its table
        SourceLocation program_where;

        bool operator==(const Call&) const = default;
    };
    struct Scheduler {
        // Exactly one of the three is set after a file was read.
        std::string plugin;            // name of a plugin, looked up in host.plugin_dirs
        std::filesystem::path object;  // a compiled sched_ext object, absolute
        std::filesystem::path program; // somebody's scheduler program, absolute
        std::vector<std::string> args; // of the program
        std::vector<Setting> env;      // of the program: its environment, strings; keys without "scheduler.env."
        std::string struct_ops;        // which struct_ops map of it; empty: the only one
        std::vector<Setting> options;  // in the order of the file; keys without "scheduler.options."
        std::vector<Setting> ops;      // values for struct_ops members; keys without "scheduler.ops."
        // What an object's own loading program would do besides; keys without the section, as above.
        std::vector<Setting> sizes;        // entries of maps, elements of arrays
        std::vector<Setting> variables;    // globals that are not read-only
        std::vector<Setting> maps;         // "MAP.KEY" or "MAP.KEY.MEMBER"
        std::vector<Setting> bpf_programs; // loaded and attached, or not
        std::vector<Call> calls;           // in this order

        bool operator==(const Scheduler&) const = default;
    };
    struct Host {
        std::vector<std::filesystem::path> plugin_dirs = {default_plugin_dir()};
        std::vector<std::string> fallback; // names of plugins or absolute paths, in the order in which they are tried

        bool operator==(const Host&) const = default;
    };
    // How a scheduler that is a program of its own is hosted.
    struct Program {
        std::chrono::nanoseconds start_timeout = std::chrono::seconds(30); // until it asks to attach
        std::uint64_t memory_max = 0;                                      // bytes, of all its processes; 0: no limit
        std::int64_t pids_max = 0;                                         // threads, of all its processes; 0: no limit
        std::string way_back = "standby";                                  // or "restart"
        std::string user;                                                  // who it runs as; empty: as the host
        std::vector<std::string> capabilities; // that it keeps, by name; empty: what a scheduler needs
        std::string name;                      // what it is called; empty: as its file

        bool operator==(const Program&) const = default;
    };
    struct Swap {
        std::chrono::nanoseconds probation = std::chrono::seconds(10);
        bool expedite_rcu = true;

        bool operator==(const Swap&) const = default;
    };
    // After an ejection: how often, and after what delay, a scheduler is started again.
    struct Restart {
        std::int64_t limit = 5; // failures within the window; one more, and the host stands down
        std::chrono::nanoseconds window = std::chrono::minutes(10);
        std::chrono::nanoseconds delay = std::chrono::milliseconds(500); // before the second attempt; then doubling
        std::chrono::nanoseconds max_delay = std::chrono::seconds(30);

        bool operator==(const Restart&) const = default;
    };
    struct Stats {
        std::chrono::nanoseconds interval = std::chrono::seconds(1);
        std::vector<std::string> variables; // of the object, to be shown besides what it declares

        bool operator==(const Stats&) const = default;
    };
    struct Log {
        LogLevel level = LogLevel::kInfo;

        bool operator==(const Log&) const = default;
    };
    struct Control {
        std::filesystem::path socket = "/run/scxhost/control.sock";
        std::string group;   // may use the socket; empty: root only
        std::string readers; // a group whose members may look; empty: none

        bool operator==(const Control&) const = default;
    };
    struct Incidents {
        std::filesystem::path dir = "/var/lib/scxhost/incidents";
        std::uint64_t limit = 64ULL << 20; // bytes; beyond it the oldest records go

        bool operator==(const Incidents&) const = default;
    };
    // What desktop tools may do over D-Bus; for `scxhost dbus`, and nothing to the host itself.
    struct Dbus {
        bool enabled = false;
        std::string default_scheduler;        // one of `schedulers`; empty: what the file selects
        std::string default_mode = "Auto";    // of kDesktopModes
        std::vector<Setting> schedulers = {}; // desktop_schedulers() reads them

        bool operator==(const Dbus&) const = default;
    };
    // What `scxhost dbus` runs for each profile of power-profiles-daemon: "NAME" or "NAME:MODE" of dbus.schedulers;
    // empty: what runs stays.
    struct Power {
        std::string power_saver;
        std::string balanced;
        std::string performance;

        bool operator==(const Power&) const = default;
    };

    // Which branch of a tree this is for: a scheduler below another one, for the tasks of a cgroup ([[below]]).
    struct Branch {
        std::string name;    // what commands call it; empty: none, this is for the machine
        std::string cgroup;  // "/games.slice": as in /proc/PID/cgroup, without a slash at the end
        bool create = false; // made when it is missing, and removed at the end

        bool operator==(const Branch&) const = default;
    };

    // A user without rights of his own who may choose among plugins at some of the branches ([[delegate]]).
    struct Delegate {
        std::string user;                 // a name, or a number
        std::string cgroup;               // the branches of this cgroup and of those below it
        std::vector<std::string> plugins; // by name
        SourceLocation where;             // of its table
        SourceLocation user_where;
        SourceLocation cgroup_where;

        bool operator==(const Delegate&) const = default;
    };

    Scheduler scheduler;
    Program program;
    Host host;
    Swap swap;
    Restart restart;
    Stats stats;
    Log log;
    Control control;
    Incidents incidents;
    Dbus dbus;
    Power power;
    Branch branch;
    // The branches, each after those above it; of each only what it has itself. branch_config() makes the whole.
    std::vector<Config> below;
    std::vector<Delegate> delegates; // in the order of the file

    std::string name;                             // of the file, as it was given; empty when there is none
    std::map<std::string, SourceLocation> places; // where each key of the host ("host.fallback") was set

    // The same without what is about one scheduler and no other: which one, its settings, what to show of it. Where it
    // runs, and what is below it, stays.
    [[nodiscard]] Config without_scheduler() const;
    // Where the value of `key` was set; the file as a whole when it was not.
    [[nodiscard]] SourceLocation where(const std::string& key) const;

    bool operator==(const Config&) const = default;
};

// All that holds for one of root.below: its scheduler, place, fallback and probation, and the rest from `root`. Without
// a fallback of its own it has none: the scheduler above it takes the cgroup's tasks.
[[nodiscard]] Config branch_config(const Config& root, const Config& branch);
// What one of root.below has itself, as text: equal for two that say the same, wherever it stands.
[[nodiscard]] std::string branch_text(const Config& branch);
// Whether the cgroup is `outer` or below it, by the parts of both names.
[[nodiscard]] bool is_at_or_below(std::string_view cgroup, std::string_view outer);
// The index in `branches` of the one that the one at `index` is directly below; nullopt: it is below the machine's.
[[nodiscard]] std::optional<std::size_t> find_branch_above(const std::vector<Config>& branches, std::size_t index);

// Reads and checks a file. kPermission: it may not be read, or the process is root and somebody else could change the
// file (host/base/file_trust.hpp); kConfig: everything else that is wrong with it. All problems of the content are
// reported: the first one as the error, the others in its detail.
[[nodiscard]] Result<Config> load_config(const std::filesystem::path& path);

// The same for text in memory. `name` stands for the file in diagnostics, and paths are relative to its folder.
[[nodiscard]] Result<Config> parse_config(std::string_view text, const std::string& name);

// Applies one `--set KEY=VALUE` on top of what was read. A key that starts with a section ("host.", "swap.", ...) is a
// setting of the host, one that starts with "below.NAME." is a key for that branch; any other is an option of the
// scheduler. VALUE is a TOML value if it reads as one, otherwise a
// string; a relative path is relative to the current folder. `config` is untouched when it fails.
[[nodiscard]] Result<> apply_override(Config& config, std::string_view assignment);

// Whether what is set fits what is to run: options for a plugin or object, arguments and environment for a program.
// kConfig. Files are checked when they are read.
[[nodiscard]] Result<> check_source(const Config& config);

// The generated part of docs/configuration.md: every key with its type, default and meaning, and a complete sample.
[[nodiscard]] std::string config_reference_markdown();

// A key that can be set on a command line, and what it means.
struct ConfigKey {
    std::string key;                // "swap.probation"
    std::string help;               // one sentence, no full stop
    std::vector<std::string> words; // all that it may hold; empty where these are not a few words
};
[[nodiscard]] std::vector<ConfigKey> config_keys_to_set();

} // namespace scxhost
