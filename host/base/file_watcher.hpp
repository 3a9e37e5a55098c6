// SPDX-License-Identifier: GPL-2.0-only
//
// Tells when the content of a file has changed, nobody writes to it any more, and it was left alone for a moment:
// editors, linkers and package managers write in several steps, or put a new file in the old one's place. The file's
// folder is watched, so that a file that is replaced, removed or made later is followed too.
#pragma once

#include "host/base/event_loop.hpp"
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

    // `on_change` runs on the loop's thread, also when the file is gone; one of more than `limit` bytes counts as gone.
    // `loop` must outlive the watcher. The file need not be there, its folder must.
    static Result<std::unique_ptr<FileWatcher>> start(EventLoop& loop, const std::filesystem::path& path,
                                                      std::function<void()> on_change, std::size_t limit = kMaxBytes);

    // For who reads the file at another time too: what it said when read() was called is known, and no change.
    [[nodiscard]] std::optional<std::string> read() const;
    void known(std::optional<std::string> content) { content_ = std::move(content); }

private:
    FileWatcher(EventLoop& loop, std::filesystem::path path, std::function<void()> on_change, std::size_t limit);
    void drain();
    void wait_for_calm();
    void settled();

    EventLoop& loop_;
    std::filesystem::path path_;
    std::function<void()> on_change_;
    std::size_t limit_;
    UniqueFd inotify_;
    EventLoop::Watch watch_;
    EventLoop::Watch settle_;
    std::optional<std::string> content_; // as last seen; nullopt: there was no readable file
};

} // namespace scxhost
