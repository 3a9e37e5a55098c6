// SPDX-License-Identifier: GPL-2.0-only
//
// How a user names the scheduler that is meant, on the command line or over the control socket, and the configuration
// that this makes.
#pragma once

#include "host/base/result.hpp"
#include "host/config/config.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// The scheduler that the user named on the command line.
struct Selection {
    std::string what;                     // CONFIG.toml | OBJECT.bpf.o | LIBRARY.so | PLUGIN
    std::string object = {};              // --object FILE, whatever it is called; in the place of `what`
    std::string program = {};             // --program FILE, likewise
    std::vector<std::string> args = {};   // after `--`: the program's arguments
    std::vector<std::string> assignments; // --set KEY=VALUE
    std::vector<std::string> plugin_dirs; // --plugin-dir, before those of the configuration
};

// The folders to look for plugins in: those given, or the default.
Result<std::vector<std::filesystem::path>> plugin_folders(const std::vector<std::string>& given);

// Reads the configuration, or makes one for a bare object or a plugin's name, and applies the overrides. What is not
// about the scheduler itself, a configuration that is made has from `base`.
Result<Config> select_config(const Selection& selection, const Config& base = {});

// A file that is named by a path ("x.so", "./x.bpf.o"), as opposed to a plugin's name.
bool names_a_file(std::string_view what);

// The configuration of one of base.host.fallback: all of `base` but the scheduler, which is the named one. A
// configuration that is named gives its scheduler and nothing else. Errors: as select_config().
[[nodiscard]] Result<Config> fallback_config(const std::string& name, const Config& base);

// The same with all that a selection can say, for the seat whose configuration `base` is: a file gives its scheduler
// alone, and what is set on top is for this seat. kConfig too when the file has branches of its own.
[[nodiscard]] Result<Config> select_scheduler(const Selection& selection, const Config& base);

} // namespace scxhost
