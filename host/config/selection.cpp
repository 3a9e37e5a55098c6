// SPDX-License-Identifier: GPL-2.0-only
#include "host/config/selection.hpp"

#include "host/base/missing_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

namespace scxhost {

bool names_a_file(std::string_view what) {
    return what.find('/') != std::string_view::npos || what.ends_with(".so") || what.ends_with(".o");
}

Result<std::vector<std::filesystem::path>> plugin_folders(const std::vector<std::string>& given) {
    if (given.empty())
        return Config::Host{}.plugin_dirs;
    std::vector<std::filesystem::path> result;
    for (const std::string& folder : given) {
        std::error_code error;
        std::filesystem::path path = std::filesystem::canonical(folder, error);
        if (error)
            return fail_errno(ErrorKind::kUsage, fmt::format("cannot use the plugin folder {}", folder), error.value());
        result.push_back(std::move(path));
    }
    return result;
}

namespace {

// In front of the others, in this order; each folder once.
void search_first(std::vector<std::filesystem::path>& dirs, std::vector<std::filesystem::path> first) {
    first.insert(first.end(), dirs.begin(), dirs.end());
    dirs.clear();
    for (std::filesystem::path& dir : first)
        if (std::ranges::find(dirs, dir) == dirs.end())
            dirs.push_back(std::move(dir));
}

} // namespace

Result<Config> select_config(const Selection& selection, const Config& base) {
    Config config = base.without_scheduler();
    config.name.clear();
    if (!selection.program.empty()) {
        std::error_code error;
        config.scheduler.program = std::filesystem::absolute(selection.program, error).lexically_normal();
        config.scheduler.args = selection.args;
    } else if (!selection.object.empty() || selection.what.ends_with(".o")) {
        std::error_code error;
        config.scheduler.object =
            std::filesystem::absolute(selection.object.empty() ? selection.what : selection.object, error);
    } else if (selection.what.ends_with(".so")) {
        std::error_code error;
        const std::filesystem::path path = std::filesystem::absolute(selection.what, error);
        // Looked for by its name, it would be told as a plugin that is in no folder.
        if (std::filesystem::status(path, error).type() == std::filesystem::file_type::not_found)
            return fail(missing_file(selection.what));
        config.scheduler.plugin = path.stem().string();
        search_first(config.host.plugin_dirs, {path.parent_path()});
    } else if (selection.what.find_first_of("/.") != std::string::npos) {
        config = SCXHOST_TRY(load_config(selection.what));
    } else {
        config.scheduler.plugin = selection.what;
    }
    if (!selection.plugin_dirs.empty())
        search_first(config.host.plugin_dirs, SCXHOST_TRY(plugin_folders(selection.plugin_dirs)));
    for (const std::string& assignment : selection.assignments)
        SCXHOST_TRY(apply_override(config, assignment));
    SCXHOST_TRY(check_source(config));
    return config;
}

namespace {

Config with_scheduler_of(const Config& base, Config named) {
    Config config = base.without_scheduler();
    config.scheduler = std::move(named.scheduler);
    config.program = std::move(named.program);
    config.stats.variables = std::move(named.stats.variables);
    config.host.plugin_dirs = std::move(named.host.plugin_dirs); // it is found as it is by itself
    return config;
}

} // namespace

Result<Config> fallback_config(const std::string& name, const Config& base) {
    const bool is_program =
        name.starts_with('/') && !name.ends_with(".toml") && !name.ends_with(".o") && !name.ends_with(".so");
    Selection selection;
    (is_program ? selection.program : selection.what) = name;
    return with_scheduler_of(base, SCXHOST_TRY(select_config(selection, base)));
}

Result<Config> select_scheduler(const Selection& selection, const Config& base) {
    Selection without_settings = selection;
    without_settings.assignments.clear();
    Config named = SCXHOST_TRY(select_config(without_settings, base));
    if (!named.name.empty() && !named.below.empty())
        return fail(Error{
            .kind = ErrorKind::kConfig,
            .what = fmt::format("{} is for a whole tree, and what is asked for is one scheduler of it", selection.what),
            .hint = "name a configuration without [[below]], or swap the whole tree",
            .where = named.below.front().where("below")});
    std::string name = named.name;
    Config config = with_scheduler_of(base, std::move(named));
    config.name = std::move(name);
    for (const std::string& assignment : selection.assignments)
        SCXHOST_TRY(apply_override(config, assignment));
    SCXHOST_TRY(check_source(config));
    return config;
}

} // namespace scxhost
