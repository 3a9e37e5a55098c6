// SPDX-License-Identifier: GPL-2.0-only
//
// What the benchmark programs share.
#pragma once

#include "host/base/standard_descriptors.hpp"
#include "host/measure/samples.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>

namespace scxhost {

inline double median(const Samples& samples) {
    return spread_of(samples).median;
}
inline double worst(const Samples& samples) {
    return samples.empty() ? 0 : std::ranges::max(samples);
}

// Runs a benchmark: `define` names its arguments, `run` measures. The exit status: 0; 1 when that threw, which is then
// told under `name`; CLI11's own for wrong arguments, which are told with the way to see those that there are.
template <class Arguments>
int bench_main(const char* name, int argc, char** argv, void (*define)(CLI::App& app, Arguments& arguments),
               void (*run)(const Arguments& arguments)) {
    open_standard_descriptors();
    CLI::App app("", name);
    Arguments arguments;
    define(app, arguments);
    try {
        app.parse(argc, argv);
        run(arguments);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", name, error.what());
        return 1;
    }
    return 0;
}

} // namespace scxhost
