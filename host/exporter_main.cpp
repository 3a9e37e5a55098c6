// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/standard_descriptors.hpp"
#include "host/exporter/command.hpp"

int main(int argc, char** argv) {
    scxhost::open_standard_descriptors();
    return scxhost::run_exporter(argc, argv);
}
