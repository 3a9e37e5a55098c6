// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/file_watcher.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

namespace scxhost {
namespace {

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

} // namespace

struct FileWatcher::Inspection {
    PathWatches watches;
    bool is_being_written = false;
    FileReading reading; // when nobody writes
};

FileWatcher::FileWatcher(EventLoop& loop, BackgroundWorker& worker, std::filesystem::path path, Handlers handlers,
                         std::size_t limit)
    : loop_(loop)
    , worker_(worker)
    , path_(std::move(path))
    , handlers_(std::move(handlers))
    , limit_(limit)
    , inotify_(std::make_shared<UniqueFd>(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)))
    , self_(std::make_shared<FileWatcher*>(this)) {}

FileWatcher::~FileWatcher() = default;

Result<std::unique_ptr<FileWatcher>> FileWatcher::start(EventLoop& loop, BackgroundWorker& worker,
                                                        const std::filesystem::path& path, Handlers handlers,
                                                        std::size_t limit) {
    std::error_code error;
    std::filesystem::path file = std::filesystem::absolute(path, error);
    std::unique_ptr<FileWatcher> watcher(new FileWatcher(loop, worker, std::move(file), std::move(handlers), limit));
    if (!*watcher->inotify_)
        return fail_errno(ErrorKind::kIo, "cannot watch " + watcher->path_.string(), errno,
                          errno == EMFILE ? "raise fs.inotify.max_user_instances (sysctl)" : "");
    watcher->watch_ = SCXHOST_TRY(loop.watch(watcher->inotify_->get(), {}, [raw = watcher.get()] { raw->drain(); }));
    watcher->inspect();
    return watcher;
}

void FileWatcher::drain() {
    alignas(inotify_event) std::array<char, 4096> buffer;
    bool concerned = false;
    for (;;) {
        const ssize_t got = ::read(inotify_->get(), buffer.data(), buffer.size());
        if (got <= 0)
            break;
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            at += sizeof *event + event->len;
            concerned = concerned || watches_.concerns(*event);
        }
    }
    if (concerned)
        wait_for_calm();
}

// Each change begins the wait anew.
void FileWatcher::wait_for_calm() {
    if (auto timer = loop_.timer(kSettleTime, [this] { inspect(); }))
        settle_ = *std::move(timer);
}

void FileWatcher::known(std::optional<FileVersion> version) {
    known_ = version;
    is_inspection_outdated_ = inspecting_;
}

void FileWatcher::inspect() {
    if (inspecting_)
        return wait_for_calm();
    inspecting_ = true;
    is_inspection_outdated_ = false;
    worker_.submit([inotify = inotify_, path = path_, limit = limit_, watches = watches_, last = last_,
                    is_first = !inspected_once_, self = std::weak_ptr(self_)]() mutable {
        auto inspection = std::make_shared<Inspection>();
        inspection->watches = watch_path(inotify->get(), path);
        drop_old_watches(inotify->get(), watches, inspection->watches);
        inspection->is_being_written = !is_first && is_being_written(path);
        if (!inspection->is_being_written)
            inspection->reading = read_file_version(path, limit, last);
        return BackgroundWorker::Completion([self = std::move(self), inspection = std::move(inspection)] {
            if (const std::shared_ptr<FileWatcher*> alive = self.lock())
                (*alive)->on_inspected(std::move(*inspection));
        });
    });
}

void FileWatcher::on_inspected(Inspection inspection) {
    inspecting_ = false;
    watches_ = std::move(inspection.watches);
    const std::string error = watches_.error ? watches_.error->what : "";
    if (std::exchange(reported_error_, error) != error && !error.empty() && handlers_.on_error)
        handlers_.on_error(*watches_.error);
    if (inspection.is_being_written || is_inspection_outdated_)
        return wait_for_calm();
    last_ = inspection.reading;
    const bool changed = inspected_once_ && last_.version != known_;
    inspected_once_ = true;
    known_ = last_.version;
    if (changed)
        handlers_.on_change(); // which may end this watcher
}

} // namespace scxhost
