// SPDX-License-Identifier: GPL-2.0-only
//
// The log: lines on stderr. Only the command line and the supervisor write to it; libraries return errors.
#pragma once

#include "host/config/config.hpp"
#include "host/plugins/plugin.hpp"

namespace scxhost {

class Output;

// To be called before plugin_log_sink().
void set_log_level(LogLevel level);

// What plugins log, as lines of the host's log, with the plugin's name. Through `output`, which must outlive the sink,
// else straight to stderr; from any thread.
PluginLogSink plugin_log_sink(Output* output = nullptr);

} // namespace scxhost
