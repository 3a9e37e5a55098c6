// SPDX-License-Identifier: GPL-2.0-only
//
// The manual: a page for each program and for each of its commands, written from the tree of commands that --help is
// made of; one for the configuration, from the table of its keys; and one for the plugin contract. Written while
// scxhost is built (write_manual.cpp).
#pragma once

#include "host/base/result.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace scxhost {

struct ManualPage {
    std::string name; // "scxhost-swap"
    int section;      // 1
    std::string text; // in mdoc(7)

    [[nodiscard]] std::string file() const { return name + "." + std::to_string(section); }
};

// Texts that stand in the documentation, and what the pages are dated.
struct ManualSources {
    std::filesystem::path docs; // the folder
    std::string date;           // "2026-11-27"
};

// Of these programs. Each one's own page comes before those of its commands. Errors: kUsage (a bad date), kIo (no such
// document).
[[nodiscard]] Result<std::vector<ManualPage>> manual_pages(const std::vector<const CLI::App*>& programs,
                                                           const ManualSources& sources);

} // namespace scxhost
