// SPDX-License-Identifier: GPL-2.0-only
//
// The program scxhost-exporter: the running host's metrics over HTTP. A program of its own, so that what parses other
// people's requests is neither the host nor linked into it, and runs without any rights.
#pragma once

#include "host/base/result.hpp"
#include "host/cli/command.hpp"

#include <memory>
#include <string>

namespace scxhost {

struct ExporterArguments {
    // Prometheus' list of default ports has given away 9100 to 9999 entirely, and is only at the beginning of 10000.
    static constexpr const char* kAddress = "127.0.0.1:10616";

    std::string listen; // empty: kAddress, or what the service manager has opened
    std::string socket; // empty: the default
    std::string idle;   // empty: it stays
};

// Its options and what it says about itself: for parsing, --help and the manual.
std::shared_ptr<ExporterArguments> add_exporter(CLI::App& app);

// Parses the command line and serves until a signal ends it; returns the process's exit status.
int run_exporter(int argc, const char* const* argv);

} // namespace scxhost
