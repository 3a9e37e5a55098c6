// SPDX-License-Identifier: GPL-2.0-only
//
// libbpf talks through one process-wide print function. LibbpfLog collects what it prints on the calling thread during
// a call, so that a failure can be explained; without a collector only debug builds of libbpf's text are lost, since
// every failing call is wrapped in one.
#pragma once

#include <string>
#include <string_view>

namespace scxhost {

class LibbpfLog {
public:
    // Starts collecting on this thread. Collectors nest; the innermost receives.
    LibbpfLog();
    LibbpfLog(const LibbpfLog&) = delete;
    LibbpfLog& operator=(const LibbpfLog&) = delete;
    ~LibbpfLog();

    // Warnings and what the verifier said, one message a line. The middle of a very long text is left out.
    [[nodiscard]] std::string text() const;
    // The last complete line without the "libbpf: " in front.
    [[nodiscard]] std::string last_line() const;

    void append(std::string_view text);

private:
    LibbpfLog* outer_;
    std::string head_;
    std::string tail_;
};

} // namespace scxhost
