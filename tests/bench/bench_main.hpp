// SPDX-License-Identifier: GPL-2.0-only
//
// What the main() of each benchmark program does.
#pragma once

#include "host/base/standard_descriptors.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace scxhost {

// Runs `body` with the program's arguments. The exit status: 0, or 1 when it threw, which is then told under `name`.
inline int bench_main(const char* name, int argc, char** argv,
                      const std::function<void(const std::vector<std::string>& words)>& body) {
    open_standard_descriptors();
    try {
        body({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", name, error.what());
        return 1;
    }
    return 0;
}

} // namespace scxhost
