// SPDX-License-Identifier: GPL-2.0-only
#include "host/config/desktop.hpp"

#include "host/base/suggest.hpp"
#include "host/config/toml_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

namespace scxhost {
namespace {

constexpr std::string_view kSection = "dbus.schedulers";

const std::vector<std::string>& mode_names() {
    static const std::vector<std::string> names(kDesktopModes.begin(), kDesktopModes.end());
    return names;
}

// "a.b.c" -> {"a", "b.c"}
std::pair<std::string, std::string> split(const std::string& key) {
    const std::size_t dot = key.find('.');
    return dot == std::string::npos ? std::pair(key, std::string())
                                    : std::pair(key.substr(0, dot), key.substr(dot + 1));
}

// What is written of one scheduler, or of one of its modes.
struct Written {
    std::optional<std::string> plugin;
    std::optional<std::string> config;
    std::vector<std::string> set;
    SourceLocation where; // of what came first
};

struct WrittenScheduler {
    Written own;
    std::map<std::size_t, Written> modes;
};

class Reader {
public:
    explicit Reader(const Config& config)
        : config_(config) {}

    Result<std::vector<DesktopScheduler>> read() {
        std::map<std::string, WrittenScheduler> written;
        for (const Setting& setting : config_.dbus.schedulers) {
            const auto [name, rest] = split(setting.key);
            const auto [key, more] = split(rest);
            if (rest.empty())
                return fail(error(setting, "expected a table", fmt::format("write [{}.{}]", kSection, name)));
            WrittenScheduler& scheduler = written[name];
            if (scheduler.own.where.file.empty())
                scheduler.own.where = setting.where;
            if (key == "modes") {
                const auto [mode, of_mode] = split(more);
                const auto found = std::ranges::find(mode_names(), mode);
                if (found == mode_names().end())
                    return fail(error(setting, fmt::format("there is no mode {}", quote_text(mode)),
                                      suggest_word(mode, mode_names(), "modes")));
                SCXHOST_TRY(
                    take(scheduler.modes[static_cast<std::size_t>(found - mode_names().begin())], of_mode, setting));
            } else {
                SCXHOST_TRY(take(scheduler.own, rest, setting));
            }
        }
        std::vector<DesktopScheduler> result;
        for (const auto& [name, scheduler] : written)
            result.push_back(SCXHOST_TRY(choices(name, scheduler)));
        return result;
    }

private:
    static Error error(const Setting& setting, std::string_view what, std::string hint) {
        return {.kind = ErrorKind::kConfig,
                .what = fmt::format("{}.{}: {}", kSection, setting.key, what),
                .hint = std::move(hint),
                .where = setting.where};
    }

    // `key`: "plugin", "options.slice", "args"
    Result<> take(Written& into, const std::string& key, const Setting& setting) const {
        if (into.where.file.empty())
            into.where = setting.where;
        const auto [first, option] = split(key);
        if (first == "options" && !option.empty()) {
            into.set.push_back(fmt::format("scheduler.options.{}={}", option, format_value(setting.value)));
        } else if (key == "args") {
            for (const Setting& argument : SCXHOST_TRY(setting.as_array()))
                SCXHOST_TRY(argument.as_string());
            into.set.push_back(fmt::format("scheduler.args={}", format_value(setting.value)));
        } else if (key == "plugin") {
            into.plugin = SCXHOST_TRY(setting.as_string());
            if (!is_key_part(*into.plugin))
                return fail(error(setting, quote_text(*into.plugin) + " is not a plugin name",
                                  "for an object or a program write config = \"FILE.toml\" with a file that names it"));
        } else if (key == "config") {
            const std::string path = SCXHOST_TRY(setting.as_string());
            if (path.empty() || std::ranges::find(path, '\0') != path.end())
                return fail(error(setting, quote_text(path) + " is not a path", "such as \"bpfland.toml\""));
            into.config = (folder() / path).lexically_normal().string();
        } else {
            static const std::vector<std::string> keys = {"plugin", "config", "options", "args", "modes"};
            return fail(
                error(setting, fmt::format("unknown key {}", quote_text(key)), suggest_word(first, keys, "keys")));
        }
        return {};
    }

    [[nodiscard]] std::filesystem::path folder() const {
        std::error_code failed;
        const std::filesystem::path file = std::filesystem::absolute(config_.name, failed);
        return failed ? std::filesystem::path("/") : file.parent_path();
    }

    static Result<DesktopScheduler> choices(const std::string& name, const WrittenScheduler& written) {
        DesktopScheduler scheduler{.name = name, .modes = {}};
        scheduler.modes[0] = SCXHOST_TRY(choice(name, written.own, nullptr));
        for (const auto& [mode, own] : written.modes)
            scheduler.modes[mode] = SCXHOST_TRY(choice(name, own, &scheduler.modes[0]));
        return scheduler;
    }

    // What a mode does not say of itself is as in `base`; what it selects anew begins without the options of that.
    static Result<DesktopChoice> choice(const std::string& name, const Written& written, const DesktopChoice* base) {
        if (written.plugin.has_value() == written.config.has_value() && (written.plugin || base == nullptr))
            return fail(Error{.kind = ErrorKind::kConfig,
                              .what = fmt::format("{}.{}: {}", kSection, name,
                                                  written.plugin ? "plugin and config are both given"
                                                                 : "it does not say what to run"),
                              .hint = "write plugin = \"NAME\" or config = \"FILE.toml\"",
                              .where = written.where});
        DesktopChoice result;
        if (written.plugin)
            result.what = *written.plugin;
        else if (written.config)
            result.what = *written.config;
        else
            result = *base;
        for (const std::string& assignment : written.set) {
            const std::string_view key = std::string_view(assignment).substr(0, assignment.find('=') + 1);
            std::erase_if(result.set, [key](const std::string& old) { return old.starts_with(key); });
            result.set.push_back(assignment);
        }
        return result;
    }

    const Config& config_;
};

} // namespace

DesktopMode parse_desktop_mode(std::string_view text) {
    const std::size_t colon = text.find(':');
    DesktopMode result{.scheduler = std::string(text.substr(0, colon)), .mode = 0};
    if (colon != text.npos)
        result.mode =
            static_cast<std::size_t>(std::ranges::find(kDesktopModes, text.substr(colon + 1)) - kDesktopModes.begin());
    return result;
}

std::optional<DesktopMode> mode_for_profile(const Config& config, std::string_view profile) {
    const std::string* text = profile == "power-saver"   ? &config.power.power_saver
                              : profile == "balanced"    ? &config.power.balanced
                              : profile == "performance" ? &config.power.performance
                                                         : nullptr;
    if (text == nullptr || text->empty())
        return std::nullopt;
    return parse_desktop_mode(*text);
}

Result<std::vector<DesktopScheduler>> desktop_schedulers(const Config& config) {
    std::vector<DesktopScheduler> schedulers = SCXHOST_TRY(Reader(config).read());
    const auto refuse = [&](std::string_view key, std::string what, std::string hint) {
        return fail(Error{.kind = ErrorKind::kConfig,
                          .what = fmt::format("{}: {}", key, what),
                          .hint = std::move(hint),
                          .where = config.where(std::string(key))});
    };
    for (const auto& [key, text] :
         {std::pair<std::string_view, const std::string&>("dbus.default", config.dbus.default_scheduler),
          {"power.power-saver", config.power.power_saver},
          {"power.balanced", config.power.balanced},
          {"power.performance", config.power.performance}}) {
        if (text.empty())
            continue;
        DesktopMode wanted = parse_desktop_mode(text);
        if (key == "dbus.default")
            wanted.mode = parse_desktop_mode(":" + config.dbus.default_mode).mode;
        const auto found = std::ranges::find(schedulers, wanted.scheduler, &DesktopScheduler::name);
        std::vector<std::string> names;
        for (const DesktopScheduler& scheduler : schedulers)
            names.push_back(scheduler.name);
        if (found == schedulers.end())
            return refuse(key, fmt::format("{} is none of {}", quote_text(wanted.scheduler), kSection),
                          names.empty() ? fmt::format("write a table [{}.{}]", kSection, wanted.scheduler)
                                        : suggest_word(wanted.scheduler, names, "schedulers"));
        if (!found->modes.contains(wanted.mode))
            return refuse(key, fmt::format("{} has no mode {}", wanted.scheduler, kDesktopModes[wanted.mode]),
                          fmt::format("write {}.{}.modes.{}", kSection, wanted.scheduler, kDesktopModes[wanted.mode]));
    }
    return schedulers;
}

} // namespace scxhost
