// SPDX-License-Identifier: GPL-2.0-only
#include "host/config/config.hpp"

#include "host/base/file_trust.hpp"
#include "host/base/regular_file.hpp"
#include "host/base/suggest.hpp"
#include "host/config/desktop.hpp"
#include "host/config/key_table.hpp"
#include "host/config/toml_text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

namespace scxhost {
namespace {

// Without exceptions; what cannot be made absolute (no current folder) stays as it is.
std::filesystem::path absolute(const std::filesystem::path& path) {
    std::error_code error;
    const std::filesystem::path out = std::filesystem::absolute(path, error);
    return error ? path : out;
}

std::string key_of(std::string_view section, std::string_view name) {
    return fmt::format("{}.{}", section, name);
}

// The last parts of the keys of one section.
std::vector<std::string> names_in(std::string_view section) {
    std::vector<std::string> names;
    for (const KeySpec& spec : config_keys())
        if (spec.key.starts_with(key_of(section, "")))
            names.emplace_back(spec.key.substr(section.size() + 1));
    return names;
}

// The section that has a key of this name; empty when none has.
std::string section_of(std::string_view name) {
    for (const std::string& section : config_sections())
        if (find_key(key_of(section, name)))
            return section;
    return {};
}

Error unknown_section(const std::string& name, const SourceLocation& where) {
    return Error{.kind = ErrorKind::kConfig,
                 .what = fmt::format("unknown section [{}]", name),
                 .hint = suggest_word(name, config_sections(), "sections"),
                 .where = where};
}

// `section` is empty for a key that stands outside of every section.
Error unknown_key(const std::string& section, const std::string& name, const SourceLocation& where) {
    const std::vector<std::string> known = section.empty() ? config_sections() : names_in(section);
    const std::string elsewhere = section_of(name);
    std::string hint;
    if (!nearest_word(name, known) && !elsewhere.empty())
        hint = fmt::format("it belongs in the section [{}]", elsewhere);
    else if (!nearest_word(name, known) && section == "scheduler")
        hint = "the scheduler's own options stand in the section [scheduler.options]";
    else
        hint = suggest_word(name, known, section.empty() ? "sections" : "keys");
    return Error{.kind = ErrorKind::kConfig,
                 .what = section.empty() ? fmt::format("unknown key {}, outside of every section", quote_text(name))
                                         : fmt::format("unknown key {} in [{}]", quote_text(name), section),
                 .hint = std::move(hint),
                 .where = where};
}

constexpr std::string_view kBelow = "below";
constexpr std::string_view kDelegate = "delegate";

Error unknown_branch_key(const TomlNode& node) {
    std::vector<std::string> known = {"fallback", "probation"};
    for (const KeySpec& spec : branch_keys())
        known.emplace_back(spec.key.substr(kBelow.size() + 1));
    for (std::string& name : names_in("scheduler"))
        known.push_back(std::move(name));
    std::string hint = suggest_word(node.name, known, "keys");
    if (!nearest_word(node.name, known) && !section_of(node.name).empty())
        hint = fmt::format("only the whole host has it, in the section [{}]", section_of(node.name));
    return Error{.kind = ErrorKind::kConfig,
                 .what = fmt::format("unknown key {} in [[below]]", quote_text(node.name)),
                 .hint = std::move(hint),
                 .where = node.key_where};
}

Error unknown_delegate_key(const TomlNode& node) {
    std::vector<std::string> known;
    for (const KeySpec& spec : delegate_keys())
        known.emplace_back(spec.key.substr(kDelegate.size() + 1));
    return Error{.kind = ErrorKind::kConfig,
                 .what = fmt::format("unknown key {} in [[{}]]", quote_text(node.name), kDelegate),
                 .hint = suggest_word(node.name, known, "keys"),
                 .where = node.key_where};
}

// The keys of which one says what is to run.
constexpr std::array<std::string_view, 3> kSources = {"scheduler.plugin", "scheduler.object", "scheduler.program"};

// Goes through a file's tree, fills a Config and collects everything that is wrong.
class Reader {
public:
    explicit Reader(const std::string& name)
        : folder_(absolute(name).parent_path()) {
        config_.name = name;
    }

    [[nodiscard]] Result<Config> read(TomlTable table) {
        for (TomlNode& node : table) {
            const bool known = std::ranges::find(config_sections(), node.name) != config_sections().end();
            auto* section = std::get_if<TomlTable>(&node.content);
            auto* tables = std::get_if<TomlTables>(&node.content);
            if (node.name == kBelow && tables)
                read_branches(std::move(*tables));
            else if (node.name == kDelegate && tables)
                read_delegates(std::move(*tables));
            else if (node.name == kBelow || node.name == kDelegate)
                errors_.push_back(not_an_array(node));
            else if (tables)
                errors_.push_back(table_in_array(node.name, node));
            else if (known && section)
                read_section(node.name, std::move(*section));
            else if (known)
                errors_.push_back(not_a_table(setting(node.name, node)));
            else if (section)
                errors_.push_back(unknown_section(node.name, node.key_where));
            else
                errors_.push_back(unknown_key({}, node.name, node.key_where));
            if (node.name == "scheduler")
                scheduler_where_ = node.key_where;
        }
        check_delegates();
        check_selection(config_, scheduler_where_.value_or(SourceLocation{.file = config_.name}));
        if (const auto desktop = desktop_schedulers(config_); !desktop)
            errors_.push_back(desktop.error());
        if (!errors_.empty())
            return fail(all_errors());
        return std::move(config_);
    }

private:
    static Setting setting(const std::string& key, const TomlNode& node) {
        return make_setting(key, std::get<SettingValue>(node.content), node.where, node.key_where);
    }

    void read_section(const std::string& section, TomlTable table) {
        for (TomlNode& node : table) {
            const std::string key = key_of(section, node.name);
            if (const KeySpec* spec = find_key(key))
                read_key(config_, *spec, key, std::move(node));
            else
                errors_.push_back(unknown_key(section, node.name, node.key_where));
        }
    }

    // `key`: what diagnostics call it.
    void read_key(Config& into, const KeySpec& spec, const std::string& key, TomlNode node) {
        auto* inner = std::get_if<TomlTable>(&node.content);
        auto* array = std::get_if<TomlTables>(&node.content);
        const auto* settings = std::get_if<SettingsKey>(&spec.kind);
        const auto* calls = std::get_if<CallsKey>(&spec.kind);
        if (array && calls)
            read_calls(std::move(*array), key, calls->at(into));
        else if (array)
            errors_.push_back(table_in_array(key, node));
        else if (inner && settings)
            flatten(std::move(*inner), {}, settings->at(into));
        else if (inner)
            errors_.push_back(
                Error{.kind = ErrorKind::kConfig,
                      .what = fmt::format("{}: expected a value ({}), found a table", key, describe_kind(spec)),
                      .where = node.where});
        else if (auto stored = store(into, spec, setting(key, node), folder_); !stored)
            errors_.push_back(std::move(stored).error());
    }

    static Error not_an_array(const TomlNode& node) {
        return Error{.kind = ErrorKind::kConfig,
                     .what = fmt::format("{}: expected an array of tables", node.name),
                     .hint = fmt::format("write [[{}]] with double brackets, once for each {}", node.name,
                                         node.name == kBelow ? "branch" : "rule"),
                     .where = node.key_where};
    }

    void read_branches(TomlTables array) {
        for (auto& [where, table] : array.tables) {
            const std::string label = fmt::format("{}[{}]", kBelow, config_.below.size());
            Config branch;
            branch.name = config_.name;
            branch.places[std::string(kBelow)] = where;
            const std::size_t errors_before = errors_.size();
            for (TomlNode& node : table) {
                if (const KeySpec* spec = find_branch_key(node.name))
                    read_key(branch, *spec, key_of(label, node.name), std::move(node));
                else
                    errors_.push_back(unknown_branch_key(node));
            }
            if (errors_.size() == errors_before)
                check_branch(branch, where);
            // Behind all that are as far up, or further: in the order in which they are attached.
            const auto depth = [](const Config& one) { return std::ranges::count(one.branch.cgroup, '/'); };
            config_.below.insert(std::ranges::upper_bound(config_.below, depth(branch), {}, depth), std::move(branch));
        }
    }

    // What other errors of the branch would not explain.
    void check_branch(Config& branch, const SourceLocation& where) {
        const auto refuse = [&](std::string what, std::string hint, const SourceLocation& at) {
            errors_.push_back(
                Error{.kind = ErrorKind::kConfig, .what = std::move(what), .hint = std::move(hint), .where = at});
        };
        if (branch.branch.cgroup.empty())
            return refuse("[[below]]: it does not say which cgroup", "write cgroup = \"/NAME\"", where);
        if (branch.branch.name.empty())
            branch.branch.name = name_from_cgroup(branch.branch.cgroup);
        const SourceLocation cgroup_where = branch.where("below.cgroup");
        if (branch.branch.name.empty())
            return refuse(fmt::format("[[below]]: the cgroup {} makes no name", quote_text(branch.branch.cgroup)),
                          "give it one: name = \"NAME\", of letters, digits, '_' and '-'", cgroup_where);
        for (const Config& other : config_.below) {
            if (other.branch.cgroup == branch.branch.cgroup)
                return refuse(fmt::format("[[below]]: two branches are for the cgroup {}", branch.branch.cgroup),
                              fmt::format("a cgroup has one scheduler; \"{}\" is for it too", other.branch.name),
                              cgroup_where);
            if (other.branch.name == branch.branch.name)
                return refuse(fmt::format("[[below]]: two branches are called \"{}\"", branch.branch.name),
                              "give each a name of its own: name = \"NAME\"",
                              branch.places.contains("below.name") ? branch.where("below.name") : cgroup_where);
        }
        check_selection(branch, where);
    }

    void read_delegates(TomlTables array) {
        for (auto& [where, table] : array.tables) {
            const std::string label = fmt::format("{}[{}]", kDelegate, config_.delegates.size());
            Config::Delegate& delegate = config_.delegates.emplace_back();
            delegate.where = delegate.user_where = delegate.cgroup_where = where;
            for (TomlNode& node : table) {
                if (const KeySpec* spec = find_delegate_key(node.name))
                    read_key(config_, *spec, key_of(label, node.name), std::move(node));
                else
                    errors_.push_back(unknown_delegate_key(node));
            }
            // Each rule has these places of its own.
            for (const auto& [name, place] :
                 {std::pair("user", &delegate.user_where), std::pair("cgroup", &delegate.cgroup_where)})
                if (auto found = config_.places.extract(key_of(kDelegate, name)); !found.empty())
                    *place = std::move(found.mapped());
            config_.places.erase(key_of(kDelegate, "plugins"));
        }
    }

    // Once all branches are known. After other errors these may be their consequence.
    void check_delegates() {
        if (!errors_.empty())
            return;
        const auto refuse = [&](std::string what, std::string hint, const SourceLocation& at) {
            errors_.push_back(
                Error{.kind = ErrorKind::kConfig, .what = std::move(what), .hint = std::move(hint), .where = at});
        };
        for (const Config::Delegate& delegate : config_.delegates) {
            if (delegate.user.empty())
                refuse("[[delegate]]: it does not say who may", "write user = \"NAME\"", delegate.where);
            else if (delegate.cgroup.empty())
                refuse("[[delegate]]: it does not say where", "write cgroup = \"/NAME\", as the branch has it",
                       delegate.where);
            else if (std::ranges::none_of(config_.below, [&](const Config& branch) {
                         return is_at_or_below(branch.branch.cgroup, delegate.cgroup);
                     }))
                refuse(
                    fmt::format("[[delegate]]: no branch is for the cgroup {}, or for one below it", delegate.cgroup),
                    config_.below.empty() ? "a branch is configured with [[below]]" : suggest_cgroup(delegate),
                    delegate.cgroup_where);
        }
    }

    [[nodiscard]] std::string suggest_cgroup(const Config::Delegate& delegate) const {
        std::vector<std::string> cgroups;
        for (const Config& branch : config_.below)
            cgroups.push_back(branch.branch.cgroup);
        return suggest_word(delegate.cgroup, cgroups, "cgroups with a branch");
    }

    // "/games.slice/shooters" -> "shooters", "/games.slice" -> "games"; empty: what is left is no name.
    static std::string name_from_cgroup(const std::string& cgroup) {
        std::string_view name(cgroup);
        name.remove_prefix(name.rfind('/') + 1);
        for (const std::string_view suffix : {".slice", ".scope", ".service"})
            if (name.ends_with(suffix))
                name.remove_suffix(suffix.size());
        return is_key_part(name) && name != "machine" ? std::string(name) : std::string();
    }

    void read_calls(TomlTables array, const std::string& key, std::vector<Config::Call>& out) {
        for (auto& [where, table] : array.tables) {
            const std::string name = fmt::format("{}[{}]", key, out.size());
            Config::Call call;
            call.where = where;
            for (TomlNode& node : table)
                if (Result<> read = read_call_key(call, std::move(node), name); !read)
                    errors_.push_back(std::move(read).error());
            if (call.program.empty() && errors_.empty())
                errors_.push_back(Error{.kind = ErrorKind::kConfig,
                                        .what = fmt::format("{}: it does not say which program", name),
                                        .hint = "write program = \"NAME\"",
                                        .where = where});
            out.push_back(std::move(call));
        }
    }

    Result<> read_call_key(Config::Call& call, TomlNode node, const std::string& name) {
        static const std::vector<std::string> keys = {"program", "context", "when"};
        static const std::vector<std::string> times = {"loaded", "attached"};
        const std::string key = key_of(name, node.name);
        auto* inner = std::get_if<TomlTable>(&node.content);
        const bool is_value = std::holds_alternative<SettingValue>(node.content);
        if (std::ranges::find(keys, node.name) == keys.end())
            return fail(Error{
                .kind = ErrorKind::kConfig,
                .what = fmt::format("unknown key {} in [[{}]]", quote_text(node.name), name.substr(0, name.find('['))),
                .hint = suggest_word(node.name, keys, "keys"),
                .where = node.key_where});
        if (node.name == "context" && inner) {
            flatten(std::move(*inner), {}, call.context);
            return {};
        }
        if (node.name == "context" || !is_value)
            return fail(Error{.kind = ErrorKind::kConfig,
                              .what = fmt::format("{}: expected {}", key,
                                                  node.name == "context" ? "a table, as in { cpu = 1 }" : "a string"),
                              .where = node.where});
        if (node.name == "program") {
            call.program = SCXHOST_TRY(setting(key, node).as_string());
            call.program_where = node.where;
        } else {
            call.attached = SCXHOST_TRY(setting(key, node).as_choice(times)) == 1;
        }
        return {};
    }

    // Sub-tables become dotted keys.
    void flatten(TomlTable table, const std::string& prefix, std::vector<Setting>& out) {
        for (TomlNode& node : table) {
            const std::string key = prefix + node.name;
            auto* inner = std::get_if<TomlTable>(&node.content);
            if (std::holds_alternative<TomlTables>(node.content))
                errors_.push_back(table_in_array(key, node));
            else if (!inner)
                out.push_back(setting(key, node));
            else if (!inner->empty())
                flatten(std::move(*inner), key + ".", out);
            else
                errors_.push_back(Error{.kind = ErrorKind::kConfig,
                                        .what = fmt::format("{}: the table is empty", key),
                                        .where = node.key_where});
        }
    }

    // `where`: of what holds the keys that say what is to run.
    void check_selection(const Config& config, const SourceLocation& where) {
        std::vector<std::pair<SourceLocation, std::string>> given;
        for (const std::string_view key : kSources)
            if (const auto place = config.places.find(std::string(key)); place != config.places.end())
                given.emplace_back(place->second, key);
        if (given.size() > 1) {
            std::ranges::sort(given, {},
                              [](const auto& source) { return std::pair(source.first.line, source.first.column); });
            errors_.push_back(Error{.kind = ErrorKind::kConfig,
                                    .what = fmt::format("{} and {} are both given", given[0].second, given[1].second),
                                    .hint = "keep the one that is to run",
                                    .where = given[1].first});
        } else if (given.empty() && errors_.empty()) {
            // After other errors this one may be their consequence.
            errors_.push_back(
                Error{.kind = ErrorKind::kConfig,
                      .what = "no scheduler is selected",
                      .hint = fmt::format("write plugin = \"NAME\", object = \"PATH\" or program = "
                                          "\"PATH\" in {}",
                                          config.branch.cgroup.empty() ? "the section [scheduler]" : "this table"),
                      .where = where});
        } else if (!given.empty() && errors_.empty()) {
            if (Result<> fits = check_source(config); !fits)
                errors_.push_back(std::move(fits).error());
        }
    }

    // One error that tells all: the first in the file, and the others in its detail.
    [[nodiscard]] Error all_errors() {
        constexpr std::size_t kMaxShown = 20;
        std::ranges::sort(errors_, {}, [](const Error& error) {
            return error.where ? std::pair(error.where->line, error.where->column) : std::pair(0U, 0U);
        });
        Error first = std::move(errors_.front());
        for (std::size_t i = 1; i < std::min(errors_.size(), kMaxShown); ++i) {
            const Error& error = errors_[i];
            fmt::format_to(std::back_inserter(first.detail), "{}: {}{}\n",
                           to_string(error.where.value_or(SourceLocation{.file = config_.name})), error.what,
                           error.hint.empty() ? "" : fmt::format(" ({})", error.hint));
        }
        if (errors_.size() > kMaxShown)
            fmt::format_to(std::back_inserter(first.detail), "and {} more\n", errors_.size() - kMaxShown);
        return first;
    }

    std::filesystem::path folder_;
    Config config_;
    std::optional<SourceLocation> scheduler_where_;
    std::vector<Error> errors_;
};

void set_or_append(std::vector<Setting>& settings, Setting setting) {
    const auto old = std::ranges::find(settings, setting.key, &Setting::key);
    if (old == settings.end())
        settings.push_back(std::move(setting));
    else
        *old = std::move(setting);
}

// The table of settings that `key` names a member of, and the member's name; nullptr: none.
std::pair<const SettingsKey*, std::string_view> find_settings(std::string_view key) {
    for (const KeySpec& spec : config_keys())
        if (const auto* settings = std::get_if<SettingsKey>(&spec.kind))
            if (key.starts_with(spec.key) && key.substr(spec.key.size()).starts_with('.'))
                return {settings, key.substr(spec.key.size() + 1)};
    return {nullptr, {}};
}

bool is_dotted_key(std::string_view key) {
    for (;;) {
        const std::size_t dot = key.find('.');
        if (!is_key_part(key.substr(0, dot)))
            return false;
        if (dot == std::string_view::npos)
            return true;
        key.remove_prefix(dot + 1);
    }
}

// A setting of the host: "swap.probation=5s".
Result<> override_host(Config& config, const std::string& section, const Setting& setting) {
    const KeySpec* spec = find_key(setting.key);
    if (!spec)
        return fail(unknown_key(section, setting.key.substr(section.size() + 1), setting.where));
    SCXHOST_TRY(store(config, *spec, setting, absolute(".")));
    // The command line selects another scheduler than the file.
    if (std::ranges::find(kSources, setting.key) != kSources.end()) {
        for (const std::string_view other : kSources)
            if (other != setting.key)
                config.places.erase(std::string(other));
        if (setting.key != "scheduler.plugin")
            config.scheduler.plugin.clear();
        if (setting.key != "scheduler.object")
            config.scheduler.object.clear();
        if (setting.key != "scheduler.program")
            config.scheduler.program.clear();
    }
    return {};
}

Result<> override_key(Config& config, const std::string& key, std::string_view text, const SourceLocation& where);

// "below.games.slice=1ms": a key for one branch, without "below.".
Result<> override_branch(Config& config, const std::string& key, std::string_view text, const SourceLocation& where) {
    const std::string name = key.substr(0, key.find('.'));
    std::vector<std::string> names;
    for (Config& branch : config.below) {
        names.push_back(branch.branch.name);
        if (branch.branch.name != name || name.size() == key.size())
            continue;
        const std::string own = key.substr(name.size() + 1);
        const std::string section = own.substr(0, own.find('.'));
        const bool of_host = std::ranges::find(config_sections(), section) != config_sections().end();
        if (section == kBelow || (of_host && section.size() < own.size() && section != "scheduler" &&
                                  own != "swap.probation" && own != "host.fallback"))
            return fail(Error{.kind = ErrorKind::kConfig,
                              .what = fmt::format("{}: a branch has no setting of this name", own),
                              .hint = "only the whole host has it; a branch has its scheduler's, swap.probation and "
                                      "host.fallback",
                              .where = where});
        return override_key(branch, own, text, where);
    }
    return fail(Error{.kind = ErrorKind::kConfig,
                      .what = fmt::format("below.{}: expected below.NAME.KEY with the name of a branch", key),
                      .hint = suggest_word(name, names, "branches"),
                      .where = where});
}

Result<> override_key(Config& config, const std::string& key, std::string_view text, const SourceLocation& where) {
    const std::string section = key.substr(0, key.find('.'));
    const bool of_host =
        section.size() < key.size() && std::ranges::find(config_sections(), section) != config_sections().end();
    if (const auto [settings, name] = find_settings(key); settings)
        set_or_append(settings->at(config), typed_setting(std::string(name), text, where));
    else if (section == kBelow && section.size() < key.size())
        return override_branch(config, key.substr(section.size() + 1), text, where);
    else if (of_host)
        return override_host(config, section, typed_setting(key, text, where));
    else
        set_or_append(config.scheduler.options, typed_setting(key, text, where));
    return {};
}

// A configuration that cannot be read is a wrong one, unless it is a matter of rights.
Error unreadable(Error error) {
    if (error.kind == ErrorKind::kIo)
        error.kind = error.sys_errno == EACCES ? ErrorKind::kPermission : ErrorKind::kConfig;
    return error;
}

} // namespace

Config Config::without_scheduler() const {
    Config result = *this;
    result.scheduler = {};
    result.program = {};
    result.stats.variables.clear();
    std::erase_if(result.places, [](const auto& place) {
        return place.first.starts_with("scheduler.") || place.first.starts_with("program.") ||
               place.first == "stats.variables";
    });
    return result;
}

Config branch_config(const Config& root, const Config& branch) {
    Config result = root.without_scheduler();
    result.below.clear();
    result.scheduler = branch.scheduler;
    result.branch = branch.branch;
    result.host.fallback = branch.host.fallback;
    if (branch.places.contains("swap.probation"))
        result.swap.probation = branch.swap.probation;
    std::erase_if(result.places, [](const auto& place) { return place.first == "host.fallback"; });
    for (const auto& [key, place] : branch.places)
        result.places[key] = place;
    return result;
}

std::string branch_text(const Config& branch) {
    Config own = branch;
    std::string text;
    const auto add_settings = [&text](const std::vector<Setting>& settings) {
        for (const Setting& setting : settings)
            text += fmt::format("{}={}\n", setting.key, format_value(setting.value));
    };
    const auto add = [&](const KeySpec& spec) {
        text += fmt::format("{}: {}\n", spec.key, format_key_value(spec, own));
        if (const auto* settings = std::get_if<SettingsKey>(&spec.kind))
            add_settings(settings->at(own));
    };
    for (const KeySpec& spec : branch_keys())
        add(spec);
    for (const KeySpec& spec : config_keys())
        if (spec.key.starts_with("scheduler.") || spec.key == "host.fallback" ||
            (spec.key == "swap.probation" && own.places.contains("swap.probation")))
            add(spec);
    for (const Config::Call& call : own.scheduler.calls) {
        text += fmt::format("{} {}\n", call.program, call.attached);
        add_settings(call.context);
    }
    return text;
}

bool is_at_or_below(std::string_view cgroup, std::string_view outer) {
    return cgroup.starts_with(outer) && (cgroup.size() == outer.size() || cgroup[outer.size()] == '/');
}

std::optional<std::size_t> find_branch_above(const std::vector<Config>& branches, std::size_t index) {
    const std::string& cgroup = branches[index].branch.cgroup;
    std::optional<std::size_t> nearest;
    for (std::size_t i = 0; i < branches.size(); ++i) {
        const std::string& other = branches[i].branch.cgroup;
        if (i != index && is_at_or_below(cgroup, other) &&
            (!nearest || other.size() > branches[*nearest].branch.cgroup.size()))
            nearest = i;
    }
    return nearest;
}

SourceLocation Config::where(const std::string& key) const {
    const auto place = places.find(key);
    return place == places.end() ? SourceLocation{.file = name} : place->second;
}

Result<> check_source(const Config& config) {
    const bool is_program = !config.scheduler.program.empty();
    const auto misplaced = [&](const Setting& setting, std::string_view section, std::string hint) {
        return fail(Error{.kind = ErrorKind::kConfig,
                          .what = fmt::format("{}.{}: {}", section, setting.key,
                                              is_program ? "a program takes no options of the host's"
                                                         : "only a program has an environment"),
                          .hint = std::move(hint),
                          .where = setting.where});
    };
    if (is_program) {
        if (!config.scheduler.options.empty())
            return misplaced(config.scheduler.options.front(), "scheduler.options",
                             "give it arguments: scheduler.args");
        if (!config.scheduler.ops.empty())
            return misplaced(config.scheduler.ops.front(), "scheduler.ops", "give it arguments: scheduler.args");
        for (const auto& [settings, section] : {std::pair(&config.scheduler.sizes, "scheduler.sizes"),
                                                std::pair(&config.scheduler.variables, "scheduler.variables"),
                                                std::pair(&config.scheduler.maps, "scheduler.maps"),
                                                std::pair(&config.scheduler.bpf_programs, "scheduler.bpf_programs")})
            if (!settings->empty())
                return misplaced(settings->front(), section, "its own loading program does this: remove it");
        if (!config.scheduler.calls.empty())
            return fail(Error{.kind = ErrorKind::kConfig,
                              .what = "scheduler.call: a program runs its BPF programs itself",
                              .hint = "remove it",
                              .where = config.scheduler.calls.front().where});
        for (const Setting& setting : config.scheduler.env)
            SCXHOST_TRY(setting.as_string());
        return {};
    }
    if (!config.scheduler.env.empty())
        return misplaced(config.scheduler.env.front(), "scheduler.env", "remove it, or select a program");
    if (!config.scheduler.args.empty())
        return fail(Error{.kind = ErrorKind::kConfig,
                          .what = "scheduler.args: only a program has arguments",
                          .hint = "a plugin or object has options: [scheduler.options]",
                          .where = config.where("scheduler.args")});
    return {};
}

Result<Config> parse_config(std::string_view text, const std::string& name) {
    return Reader(name).read(SCXHOST_TRY(parse_toml(text, name)));
}

Result<Config> load_config(const std::filesystem::path& path) {
    // Who may write the file decides what root runs.
    auto trusted = ::geteuid() == 0 ? check_trusted(path) : Result<std::filesystem::path>(path);
    if (!trusted)
        return fail(unreadable(std::move(trusted).error()));
    if (begins_with(*trusted, "\177ELF"))
        return fail(ErrorKind::kConfig,
                    fmt::format("{} is an executable or an object, no configuration", path.string()),
                    "host a scheduler program with --program FILE, a compiled BPF object with --object FILE");
    auto bytes = read_binary_file(*trusted, kMaxTomlBytes, "the configuration");
    if (!bytes)
        return fail(unreadable(std::move(bytes).error()));
    return parse_config({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, path.string());
}

Result<> apply_override(Config& config, std::string_view assignment) {
    const SourceLocation where{.file = fmt::format("--set {}", assignment)};
    const std::size_t equals = assignment.find('=');
    const std::string key(assignment.substr(0, equals));
    if (equals == std::string_view::npos || !is_dotted_key(key))
        return fail(Error{.kind = ErrorKind::kUsage,
                          .what = fmt::format("expected KEY=VALUE, found {}", quote_text(assignment)),
                          .hint = "such as slice=10ms or swap.probation=5s",
                          .where = where});
    return override_key(config, key, assignment.substr(equals + 1), where);
}

std::filesystem::path installation_prefix() {
    std::error_code error;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
    // Without /proc there is no way to tell; a package's place is the best guess.
    return error ? std::filesystem::path("/usr") : program.parent_path().parent_path();
}

std::filesystem::path default_plugin_dir() {
    return installation_prefix() / "lib/scxhost/plugins";
}

} // namespace scxhost
