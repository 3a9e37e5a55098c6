// SPDX-License-Identifier: GPL-2.0-only
//
// The log: lines on stderr. Only the command line and the supervisor write to it; libraries return errors.
#pragma once

#include "host/config/config.hpp"
#include "host/plugins/plugin.hpp"

namespace scxhost {

void set_log_level(LogLevel level);

// What plugins log, as lines of the host's log, with the plugin's name.
PluginLogSink plugin_log_sink();

} // namespace scxhost
