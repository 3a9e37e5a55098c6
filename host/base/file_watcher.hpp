// SPDX-License-Identifier: GPL-2.0-only
//
// Tells when the content of a file has changed and has been left alone for a moment: editors and package managers write
// in several steps, or put a new file in the old one's place. The file's folder is watched, so that a file that is
// replaced, removed or made later is followed too.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace scxhost {

class FileWatcher {
public:
    static constexpr std::chrono::milliseconds kSettleTime{300};

    // `on_change` runs on the loop's thread, also when the file is gone. `loop` must outlive the watcher. The file need
    // not be there, its folder must.
    static Result<std::unique_ptr<FileWatcher>> start(EventLoop& loop, const std::filesystem::path& path,
                                                      std::function<void()> on_change);

    // For who reads the file at another time too: what it said when read() was called is known, and no change.
    [[nodiscard]] std::optional<std::string> read() const;
    void known(std::optional<std::string> content) { content_ = std::move(content); }

private:
    FileWatcher(EventLoop& loop, std::filesystem::path path, std::function<void()> on_change);
    void drain();
    void settled();

    EventLoop& loop_;
    std::filesystem::path path_;
    std::function<void()> on_change_;
    UniqueFd inotify_;
    EventLoop::Watch watch_;
    EventLoop::Watch settle_;
    std::optional<std::string> content_; // as last seen; nullopt: there was no readable file
};

} // namespace scxhost
