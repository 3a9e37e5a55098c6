// SPDX-License-Identifier: GPL-2.0-only
//
// The host's log: lines on stderr, of the host itself and of its plugins, from a level on. Only the command line writes
// to it; libraries return errors. Where stderr is the journal, each line begins with its priority, as sd-daemon(3) has
// it, and has no time: the journal has its own.
#pragma once

#include "host/cli/diagnostic.hpp"
#include "host/config/config.hpp"
#include "host/plugins/plugin.hpp"

#include <memory>

namespace scxhost {

class Output;

class Log {
public:
    // Through `output`, which must outlive the log and its plugin_sink(); without one straight to stderr.
    explicit Log(LogLevel level, Output* output = nullptr);

    // These from any thread.
    void set_level(LogLevel level);
    // Errors, warnings, and notes, which are of the level info.
    void diagnostic(Severity severity, const Error& error) const;
    // What plugins log, with the plugin's name.
    [[nodiscard]] PluginLogSink plugin_sink() const;

private:
    struct Lines;
    std::shared_ptr<Lines> lines_;
};

// Whether what is written to `fd` goes to the journal: it is the stream that JOURNAL_STREAM names, "device:inode".
[[nodiscard]] bool is_journal(int fd);

} // namespace scxhost
