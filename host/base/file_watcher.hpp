// SPDX-License-Identifier: GPL-2.0-only
//
// Tells when the content of a file has changed, nobody writes to it any more, and it was left alone for a moment:
// editors, linkers and package managers write in several steps, or put a new file in the old one's place. What is
// followed is the path: also when a link on its way is exchanged, a folder is replaced, or the file is made later. The
// loop never touches the file system; a worker does, which may wait for it.
#pragma once

#include "host/base/background_worker.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/path_watches.hpp"
#include "host/base/regular_file.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace scxhost {

class FileWatcher {
public:
    static constexpr std::chrono::milliseconds kSettleTime{300};
    static constexpr std::size_t kMaxBytes = 1U << 20U;

    struct Handlers {
        // The content has changed, or the file came or went; one of more than the limit counts as gone.
        std::function<void()> on_change;
        // Some step of the path cannot be watched; changes there go unnoticed. Told once for each new reason.
        std::function<void(const Error&)> on_error;
    };

    // The handlers run on the loop's thread. What the file holds when the worker first gets to it is known, and no
    // change; nothing of the path need exist. `loop` must outlive the watcher. `worker` may end before, which ends the
    // watching. Errors: kIo (inotify).
    static Result<std::unique_ptr<FileWatcher>> start(EventLoop& loop, BackgroundWorker& worker,
                                                      const std::filesystem::path& path, Handlers handlers,
                                                      std::size_t limit = kMaxBytes);
    ~FileWatcher();

    // For who reads the file at another time too: what read_file_version() found there is known, and no change.
    void known(std::optional<FileVersion> version);

private:
    struct Inspection;
    FileWatcher(EventLoop& loop, BackgroundWorker& worker, std::filesystem::path path, Handlers handlers,
                std::size_t limit);
    void drain();
    void wait_for_calm();
    void inspect();
    void on_inspected(Inspection inspection);

    EventLoop& loop_;
    BackgroundWorker& worker_;
    std::filesystem::path path_;
    Handlers handlers_;
    std::size_t limit_;
    std::shared_ptr<UniqueFd> inotify_; // shared with an inspection that is under way
    EventLoop::Watch watch_;
    EventLoop::Watch settle_;
    PathWatches watches_;
    FileReading last_;                 // as of the last inspection
    std::optional<FileVersion> known_; // nullopt: there was no readable file
    bool inspected_once_ = false;
    bool inspecting_ = false;             // an inspection is with the worker ...
    bool is_inspection_outdated_ = false; // ... and known() was called since it began
    std::string reported_error_;
    std::shared_ptr<FileWatcher*> self_; // whether this is still here, for what the worker answers
};

} // namespace scxhost
