// SPDX-License-Identifier: GPL-2.0-only
//
// Reads configurations beside the event loop: a path that a client names may lead to a file system that hangs, and the
// loop has a scheduler to watch. One is read after the other, in the order in which they were asked for.
#pragma once

#include "host/base/background_worker.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/config/config.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace scxhost {

class ConfigReader {
public:
    // Runs on a thread of its own and must own all that it uses: when it hangs, it is left behind.
    using Read = std::function<Result<Config>()>;
    // Runs on the loop's thread, once, unless the reader ends before.
    using Done = std::function<void(Result<Config>)>;

    static constexpr std::chrono::nanoseconds kPatience = std::chrono::seconds(10);
    static constexpr std::size_t kMaxWaiting = 16;
    // Threads that were left behind and still hang.
    static constexpr std::size_t kMaxHanging = 4;

    // `loop` must outlive the reader. All calls come from its thread.
    explicit ConfigReader(EventLoop& loop, std::chrono::nanoseconds patience = kPatience);
    ConfigReader(const ConfigReader&) = delete;
    ConfigReader& operator=(const ConfigReader&) = delete;
    ~ConfigReader();

    // `done` gets what was read; kIo when that takes longer than the patience. Errors, and `done` is not called: kBusy
    // (too many wait, or hang); kIo (no thread).
    Result<> read(Read read, Done done);

private:
    struct Waiting {
        Read read;
        Done done;
    };
    Result<> start_next();
    void finish(Result<Config> config);
    void give_up();

    EventLoop& loop_;
    std::chrono::nanoseconds patience_;
    std::deque<Waiting> waiting_; // the first is being read
    std::vector<std::weak_ptr<const Read>> left_behind_;
    std::shared_ptr<const Read> reading_;
    EventLoop::Watch timer_;
    std::unique_ptr<BackgroundWorker> worker_;
};

} // namespace scxhost
