// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/file_watcher.hpp"

#include "host/base/elf_image.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <vector>

namespace scxhost {
namespace {

constexpr std::uint32_t kChanges =
    IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;

// Whether somebody has the file open for writing: the kernel then gives no lease for reading. Where it gives none to us
// at all (somebody else's file, some file systems) nobody is known to.
bool is_being_written(const std::filesystem::path& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    // Who opens it for writing in the moment of the lease waits for its end, and we get a signal: one that is ignored.
    if (!file || ::fcntl(file.get(), F_SETSIG, SIGURG) != 0)
        return false;
    if (::fcntl(file.get(), F_SETLEASE, F_RDLCK) != 0)
        return errno == EAGAIN;
    (void)::fcntl(file.get(), F_SETLEASE, F_UNLCK);
    return false;
}

// A pipe or a device in the file's place must not hold up the loop.
std::optional<std::string> read_content(const std::filesystem::path& path, std::size_t limit) {
    const Result<std::vector<std::byte>> bytes = read_binary_file(path, limit, "a watched file");
    if (!bytes)
        return std::nullopt;
    return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

} // namespace

FileWatcher::FileWatcher(EventLoop& loop, std::filesystem::path path, std::function<void()> on_change,
                         std::size_t limit)
    : loop_(loop)
    , path_(std::move(path))
    , on_change_(std::move(on_change))
    , limit_(limit)
    , content_(read_content(path_, limit)) {}

Result<std::unique_ptr<FileWatcher>> FileWatcher::start(EventLoop& loop, const std::filesystem::path& path,
                                                        std::function<void()> on_change, std::size_t limit) {
    std::error_code error;
    std::filesystem::path file = std::filesystem::absolute(path, error);
    std::unique_ptr<FileWatcher> watcher(new FileWatcher(loop, std::move(file), std::move(on_change), limit));
    watcher->inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    const std::filesystem::path folder = watcher->path_.parent_path();
    if (!watcher->inotify_ || ::inotify_add_watch(watcher->inotify_.get(), folder.c_str(), kChanges) < 0)
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
    if (ours)
        wait_for_calm();
}

// Each change begins the wait anew.
void FileWatcher::wait_for_calm() {
    if (auto timer = loop_.timer(kSettleTime, [this] { settled(); }))
        settle_ = *std::move(timer);
}

std::optional<std::string> FileWatcher::read() const {
    return read_content(path_, limit_);
}

void FileWatcher::settled() {
    if (is_being_written(path_))
        return wait_for_calm();
    std::optional<std::string> now = read();
    if (now == content_)
        return;
    content_ = std::move(now);
    on_change_();
}

} // namespace scxhost
