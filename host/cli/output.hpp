// SPDX-License-Identifier: GPL-2.0-only
//
// Output of a process that must never wait for its readers: a full pipe, a pager, a terminal after Ctrl-S. A thread of
// its own writes, in the order of the calls; what cannot be kept is dropped and counted.
#pragma once

#include "host/base/event_fd.hpp"
#include "host/base/result.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace scxhost {

class Output {
public:
    enum class Worth {
        kSample,  // the next one replaces it: dropped early
        kMessage, // told once: dropped only when megabytes wait
    };

    static constexpr std::size_t kSampleBytes = 64U << 10U; // waiting, from which on samples are dropped
    static constexpr std::size_t kMessageBytes = 4U << 20U; // waiting, from which on everything is

    // SIGPIPE must be ignored. kInternal: no thread can be started.
    static Result<std::unique_ptr<Output>> start();
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    // Waits two seconds for what is left, then leaves it unwritten. The descriptors must stay open until then.
    ~Output();

    // Any thread; never waits for a reader. `text` is whole lines.
    void put(int fd, std::string text, Worth worth = Worth::kMessage);

    // Nobody will ever read `fd` again: writing said EPIPE. Other errors, like a full disk, pass.
    [[nodiscard]] bool reader_gone(int fd) const;

    // Waits two seconds for what is left. kIo: something could not be written to stdout, and not because its reader
    // had gone; a warning on stderr said so when it happened.
    Result<> finish();

private:
    struct Queue;
    Output();
    [[nodiscard]] bool wait_until_written(EventFd::Clock::time_point deadline) const;
    std::shared_ptr<Queue> queue_; // with the thread, which may stay behind in a write that never ends
};

} // namespace scxhost
