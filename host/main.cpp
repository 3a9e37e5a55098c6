// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/standard_descriptors.hpp"
#include "host/cli/command.hpp"
#include "host/plugins/plugin_thread.hpp"

#include <cstdlib>

int main(int argc, char** argv) {
    scxhost::open_standard_descriptors();
    const int status = scxhost::run_command_line(argc, argv);
    // A plugin that hangs may be in the middle of anything: destructors of libraries would run under it, and the
    // loader's lock may be its own. Commands have written out what they print.
    if (scxhost::PluginThread::left_behind() > 0)
        std::_Exit(status);
    return status;
}
