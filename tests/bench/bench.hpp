// SPDX-License-Identifier: GPL-2.0-only
//
// What the benchmark programs share.
#pragma once

#include "host/base/standard_descriptors.hpp"
#include "host/measure/samples.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace scxhost {

inline double median(const Samples& samples) {
    return spread_of(samples).median;
}
inline double worst(const Samples& samples) {
    return samples.empty() ? 0 : std::ranges::max(samples);
}

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
