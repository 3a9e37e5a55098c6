// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/file_watcher.hpp"

#include "host/base/elf_image.hpp"

#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <vector>

namespace scxhost {
namespace {

// More than any file that is worth watching; a larger one counts as none.
constexpr std::size_t kMaxBytes = 1U << 20U;

// A pipe or a device in the file's place must not hold up the loop.
std::optional<std::string> read_content(const std::filesystem::path& path) {
    const Result<std::vector<std::byte>> bytes = read_binary_file(path, kMaxBytes, "a watched file");
    if (!bytes)
        return std::nullopt;
    return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

} // namespace

FileWatcher::FileWatcher(EventLoop& loop, std::filesystem::path path, std::function<void()> on_change)
    : loop_(loop)
    , path_(std::move(path))
    , on_change_(std::move(on_change))
    , content_(read_content(path_)) {}

Result<std::unique_ptr<FileWatcher>> FileWatcher::start(EventLoop& loop, const std::filesystem::path& path,
                                                        std::function<void()> on_change) {
    std::error_code error;
    std::filesystem::path file = std::filesystem::absolute(path, error);
    std::unique_ptr<FileWatcher> watcher(new FileWatcher(loop, std::move(file), std::move(on_change)));
    watcher->inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    const std::filesystem::path folder = watcher->path_.parent_path();
    if (!watcher->inotify_ ||
        ::inotify_add_watch(watcher->inotify_.get(), folder.c_str(),
                            IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR) < 0)
        return fail_errno(ErrorKind::kIo, "cannot watch " + folder.string(), errno);
    watcher->watch_ = SCXHOST_TRY(loop.watch(watcher->inotify_.get(), {}, [raw = watcher.get()] { raw->drain(); }));
    return watcher;
}

void FileWatcher::drain() {
    alignas(inotify_event) std::array<char, 4096> buffer;
    bool ours = false;
    for (;;) {
        const ssize_t got = ::read(inotify_.get(), buffer.data(), buffer.size());
        if (got <= 0)
            break;
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            at += sizeof *event + event->len;
            // After an overflow anything may have changed.
            ours = ours || (event->mask & IN_Q_OVERFLOW) != 0 ||
                   (event->len > 0 && path_.filename() == std::filesystem::path(event->name));
        }
    }
    if (!ours)
        return;
    // Each change begins the wait anew.
    if (auto timer = loop_.timer(kSettleTime, [this] { settled(); }))
        settle_ = *std::move(timer);
}

std::optional<std::string> FileWatcher::read() const {
    return read_content(path_);
}

void FileWatcher::settled() {
    std::optional<std::string> now = read();
    if (now == content_)
        return;
    content_ = std::move(now);
    on_change_();
}

} // namespace scxhost
