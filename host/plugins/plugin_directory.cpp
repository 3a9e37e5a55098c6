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

// Where a library's link leads to; the library itself when it is none, or leads nowhere.
std::filesystem::path resolved(const std::filesystem::path& library) {
    std::error_code error;
    if (!std::filesystem::is_symlink(library, error))
        return library;
    std::filesystem::path target = std::filesystem::canonical(library, error);
    return error ? library : target;
}

// A link to a file beside it, as from x.so to x-1.2.so, where a folder holds versions of a library.
bool is_version_link(const std::filesystem::path& library, const std::filesystem::path& target) {
    std::error_code error;
    return target.filename() != library.filename() &&
           std::filesystem::equivalent(library.parent_path(), target.parent_path(), error);
}

// The name that the plugin in `target` must have for itself. The link's counts only beside the file: a link from
// elsewhere could pass one plugin off as another.
std::string expected_name(const std::filesystem::path& library, const std::filesystem::path& target) {
    return (is_version_link(library, target) ? library : target).stem().string();
}

// What version links lead to is no library of its own.
std::vector<std::filesystem::path> libraries_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> result;
    std::vector<std::filesystem::path> versions;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::filesystem::path& library = entry->path();
        if (library.extension() != kSuffix)
            continue;
        result.push_back(library);
        // One step only: in a chain of links each one's target is found by its own turn.
        std::error_code ignored;
        if (is_version_link(library, resolved(library)))
            versions.push_back(folder / std::filesystem::read_symlink(library, ignored).filename());
    }
    std::erase_if(result, [&](const auto& library) { return std::ranges::find(versions, library) != versions.end(); });
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
            result.push_back({path, read_plugin_file(resolved(path), expected_name(path, resolved(path)))});
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
        const std::filesystem::path target = SCXHOST_TRY(check_trusted(path));
        return read_plugin_file(target, expected_name(path, target));
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
