// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/command.hpp"

int main(int argc, char** argv) {
    return scxhost::run_command_line(argc, argv);
}
