// SPDX-License-Identifier: GPL-2.0-only
//
// A new plugin's folder, copied from the templates that are installed with the SDK (plugins/template): real files, in
// which the word my_sched, in names and in texts, becomes the plugin's own.
#pragma once

#include "host/base/result.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace scxhost {

struct PluginTemplate {
    std::filesystem::path templates; // the folder that holds base/ and cpp/
    std::string name;
    bool with_cpp = false; // a user-space half too
};

// A name serves as the plugin's, as a C identifier and as a CMake target. Errors: kUsage, with a name that would do.
[[nodiscard]] Result<> check_plugin_name(const std::string& name);

// Makes the folder `folder`/NAME and everything in it; returns the files, relative to that, sorted. Nothing that is
// there is touched, and when it fails nothing is left. Errors: kUsage (a bad name; something has that name),
// kPermission and kIo (the folder), kInternal (no templates).
[[nodiscard]] Result<std::vector<std::filesystem::path>> write_plugin(const PluginTemplate& plugin,
                                                                      const std::filesystem::path& folder);

} // namespace scxhost
