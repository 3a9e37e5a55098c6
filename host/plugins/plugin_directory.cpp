// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin_directory.hpp"

#include "host/base/file_trust.hpp"
#include "host/base/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

namespace scxhost {
namespace {

constexpr std::string_view kSuffix = ".so";

std::vector<std::filesystem::path> libraries_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> result;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (entry->path().extension() == kSuffix)
            result.push_back(entry->path());
    std::ranges::sort(result);
    return result;
}

std::string list_folders(const std::vector<std::filesystem::path>& folders) {
    std::vector<std::string> names;
    for (const std::filesystem::path& folder : folders)
        names.push_back(folder.string());
    return names.empty() ? "no folder" : list_words(names, "and");
}

} // namespace

std::vector<ListedPlugin> list_plugins(const std::vector<std::filesystem::path>& folders) {
    std::vector<ListedPlugin> result;
    for (const std::filesystem::path& folder : folders)
        for (const std::filesystem::path& path : libraries_in(folder))
            result.push_back({path, read_plugin_file(path)});
    return result;
}

Result<PluginFile> find_plugin(const std::vector<std::filesystem::path>& folders, const std::string& name) {
    // A plugin comes from the folders that the configuration names, not from beside them.
    if (name.find('/') != std::string::npos)
        return fail(ErrorKind::kPlugin, fmt::format("{} is no plugin's name", quote_text(name)),
                    "name the plugin without folder and \".so\", and its folder in host.plugin_dirs");
    for (const std::filesystem::path& folder : folders) {
        const std::filesystem::path path = folder / (name + std::string(kSuffix));
        std::error_code error;
        if (!std::filesystem::exists(path, error))
            continue;
        // What is read and later loaded is the file that was checked, not a link that somebody may turn.
        return read_plugin_file(SCXHOST_TRY(check_trusted(path)));
    }
    std::vector<std::string> names;
    for (const std::filesystem::path& folder : folders)
        for (const std::filesystem::path& path : libraries_in(folder))
            names.push_back(path.stem().string());
    return fail(ErrorKind::kPlugin, fmt::format("there is no plugin '{}' in {}", name, list_folders(folders)),
                names.empty() ? "set host.plugin_dirs to the folder that holds the plugins"
                              : suggest_word(name, names, "plugins"));
}

} // namespace scxhost
