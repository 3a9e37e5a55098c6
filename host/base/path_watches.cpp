// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/path_watches.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <deque>
#include <system_error>
#include <utility>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kOfFolder = IN_MOVE_SELF | IN_DELETE_SELF;
constexpr std::uint32_t kOfEntries = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
constexpr std::uint32_t kOfContent = IN_MODIFY | IN_CLOSE_WRITE;
// As many links as the kernel follows in one path (path_resolution(7)).
constexpr int kMaxLinks = 40;

class Walk {
public:
    Walk(int inotify, const fs::path& path)
        : inotify_(inotify) {
        put_before_rest(path);
    }

    PathWatches run() {
        while (!rest_.empty() && !over_)
            step();
        return std::move(result_);
    }

private:
    void step() {
        const std::string name = std::move(rest_.front());
        rest_.pop_front();
        if (name.empty() || name == "." || name == "/")
            return;
        if (name == "..") { // `folder_` holds no links
            folder_ = folder_.parent_path();
            return;
        }
        if (!rest_.empty() && enter(name))
            return;
        // A link, the file itself, or nothing.
        if (!watch_entry(name)) {
            over_ = true;
            return;
        }
        std::error_code error;
        const fs::path entry = folder_ / name;
        const fs::path target = fs::read_symlink(entry, error);
        if (error) {
            // A folder that was made in this moment is entered after all.
            over_ = rest_.empty() || !enter(name);
        } else if (++links_ > kMaxLinks) {
            over_ = true;
        } else {
            put_before_rest(target);
        }
    }

    void put_before_rest(const fs::path& path) {
        if (path.is_absolute())
            folder_ = "/";
        rest_.insert(rest_.begin(), path.begin(), path.end());
    }

    // Goes into a folder and watches it; false when it is none.
    bool enter(const std::string& name) {
        const fs::path folder = folder_ / name;
        const int watch =
            ::inotify_add_watch(inotify_, folder.c_str(), kOfFolder | IN_ONLYDIR | IN_DONT_FOLLOW | IN_MASK_ADD);
        if (watch < 0 && errno != EACCES) {
            if (errno != ENOTDIR && errno != ENOENT && errno != ELOOP)
                note_failure(folder, errno);
            return false;
        }
        // One that we may go through but not read cannot be watched; what is in it can.
        struct stat status{};
        if (watch < 0 && (::lstat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)))
            return false;
        if (watch >= 0)
            result_.names[watch];
        folder_ = folder;
        return true;
    }

    bool watch_entry(const std::string& name) {
        const std::uint32_t mask = kOfFolder | kOfEntries | (rest_.empty() ? kOfContent : 0U) | IN_ONLYDIR;
        const int watch = ::inotify_add_watch(inotify_, folder_.c_str(), mask | IN_MASK_ADD);
        if (watch < 0) {
            note_failure(folder_, errno);
            return false;
        }
        result_.names[watch].insert(name);
        return true;
    }

    void note_failure(const fs::path& folder, int error) {
        result_.error = fail_errno(ErrorKind::kIo, "cannot watch " + folder.string() + ", ignoring changes there",
                                   error, error == ENOSPC ? "raise fs.inotify.max_user_watches (sysctl)" : "")
                            .error();
    }

    int inotify_;
    fs::path folder_ = "/"; // as far as the walk has come; without links
    std::deque<std::string> rest_;
    int links_ = 0;
    bool over_ = false;
    PathWatches result_;
};

} // namespace

bool PathWatches::concerns(const inotify_event& event) const {
    if ((event.mask & IN_Q_OVERFLOW) != 0)
        return true; // anything may have changed
    if ((event.mask & IN_IGNORED) != 0)
        return false; // the end of a watch; if its folder went, that was told before
    const auto watch = names.find(event.wd);
    // A watch that is so new that nobody has told us of it counts.
    return watch == names.end() || event.len == 0 || watch->second.contains(std::string_view(event.name));
}

PathWatches watch_path(int inotify, const fs::path& path) {
    return Walk(inotify, path).run();
}

void drop_old_watches(int inotify, const PathWatches& before, const PathWatches& now) {
    for (const auto& [watch, names] : before.names)
        if (!now.names.contains(watch))
            (void)::inotify_rm_watch(inotify, watch); // gone by itself when its folder is
}

} // namespace scxhost
