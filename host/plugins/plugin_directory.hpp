// SPDX-License-Identifier: GPL-2.0-only
//
// Finds plugins by name in the folders that the configuration names; nowhere else, never the current folder.
#pragma once

#include "host/base/result.hpp"
#include "host/plugins/plugin_file.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace scxhost {

// Every library in the folders, usable or not, sorted by name within each folder. A folder that is missing is skipped;
// so is a file that a link beside it names (x.so leads to x-1.2.so): the link is the library.
struct ListedPlugin {
    std::filesystem::path path;
    Result<PluginFile> file;
};
std::vector<ListedPlugin> list_plugins(const std::vector<std::filesystem::path>& folders);

// The first plugin of this name, which it must have for itself too; where a link leads out of the folder, it must be
// the name of the link's target as well. The file must be trusted (host/base/file_trust.hpp). Errors: kPlugin when
// there is none (what is there is named), kPermission when others may write to it, and those of read_plugin_file().
Result<PluginFile> find_plugin(const std::vector<std::filesystem::path>& folders, const std::string& name);

} // namespace scxhost
