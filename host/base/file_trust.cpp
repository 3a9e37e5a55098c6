// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/file_trust.hpp"

#include "host/base/missing_file.hpp"
#include "host/base/suggest.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxLinks = 40; // as many as the kernel follows (MAXSYMLINKS)

// Follows a path one component at a time, as the kernel does, and looks at everything it passes.
class Walk {
public:
    Walk(const fs::path& goal, uid_t user)
        : goal_(goal)
        , user_(user) {}

    [[nodiscard]] Result<fs::path> run() {
        std::error_code error;
        const fs::path start = goal_.empty() ? goal_ : fs::absolute(goal_, error);
        if (start.empty())
            return fail_errno(ErrorKind::kIo, "cannot examine the path " + quote_text(goal_.native()),
                              error ? error.value() : ENOENT);
        push(start);
        while (!pending_.empty()) {
            const fs::path name = std::move(pending_.back());
            pending_.pop_back();
            SCXHOST_TRY(enter(name == ".." ? at_.parent_path() : at_ / name)); // an absolute name replaces at_
        }
        return at_;
    }

private:
    // The components of `path` come next; an absolute path's first one is the root.
    void push(const fs::path& path) {
        const std::vector<fs::path> parts(path.begin(), path.end());
        std::ranges::copy_if(parts.rbegin(), parts.rend(), std::back_inserter(pending_),
                             [](const fs::path& part) { return !part.empty() && part != "."; });
    }

    Result<> enter(const fs::path& entry) {
        struct stat status{};
        if (::lstat(entry.c_str(), &status) != 0) {
            const int sys_errno = errno;
            if (sys_errno == ENOENT)
                return fail(missing_file(goal_)); // what the user named; `entry` may be a folder on the way only
            return fail_errno(sys_errno == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                              fmt::format("cannot examine {}", entry.string()), sys_errno);
        }
        if (S_ISLNK(status.st_mode))
            return follow(entry, status);
        if (!pending_.empty() && !S_ISDIR(status.st_mode))
            return fail_errno(ErrorKind::kIo, fmt::format("cannot examine {}", goal_.string()), ENOTDIR);
        SCXHOST_TRY(check(entry, status));
        at_ = entry;
        return {};
    }

    Result<> follow(const fs::path& link, const struct stat& status) {
        if (++links_ > kMaxLinks)
            return fail_errno(ErrorKind::kIo, fmt::format("cannot examine {}", goal_.string()), ELOOP);
        // Elsewhere only those who may write to the folder can exchange the link, and the folder was checked.
        if (shared_folder_ && !trusted_owner(status))
            return fail(ErrorKind::kPermission,
                        fmt::format("the link {} in a folder that others can write to belongs to user {}",
                                    link.string(), status.st_uid),
                        "name the file itself instead of a link to it");
        std::error_code error;
        const fs::path target = fs::read_symlink(link, error);
        if (error)
            return fail_errno(ErrorKind::kIo, fmt::format("cannot examine {}", link.string()), error.value());
        push(target);
        return {};
    }

    Result<> check(const fs::path& entry, const struct stat& status) {
        const bool last = pending_.empty();
        const std::string subject =
            last ? entry.string() : fmt::format("the folder {}, on the way to {},", entry.string(), goal_.string());
        if (!trusted_owner(status))
            return fail(ErrorKind::kPermission,
                        fmt::format("{} belongs to user {}, who could change it", subject, status.st_uid),
                        last ? fmt::format("chown {} {}, or use a copy of your own", user_, entry.string())
                             : kMoveHint);
        // With an access control list the group bits are its mask, so that they cover every entry in it.
        const bool writable = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
        const bool sticky_folder = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
        if (writable && (last || !sticky_folder))
            return fail(ErrorKind::kPermission,
                        fmt::format("{} can be written by others than its owner (mode {:04o})", subject,
                                    status.st_mode & 07777U),
                        fmt::format("chmod go-w {}", entry.string()));
        shared_folder_ = writable;
        return {};
    }

    [[nodiscard]] bool trusted_owner(const struct stat& status) const {
        return status.st_uid == 0 || status.st_uid == user_;
    }

    static constexpr const char* kMoveHint = "move it to a folder that nobody else can write to, such as /etc/scxhost";

    const fs::path& goal_;
    uid_t user_;
    fs::path at_;                   // checked, without links
    std::vector<fs::path> pending_; // components still to follow, the next one last
    bool shared_folder_ = false;    // `at_` is a sticky folder that others can write to
    int links_ = 0;
};

} // namespace

Result<std::filesystem::path> check_trusted(const std::filesystem::path& path, uid_t user) {
    return Walk(path, user).run();
}

Result<std::filesystem::path> make_trusted_folder(const std::filesystem::path& folder, mode_t mode) {
    // What is there decides who could meddle with what is made below it.
    std::vector<fs::path> missing;
    fs::path there = folder.lexically_normal();
    std::error_code error;
    while (there.has_relative_path() && !fs::exists(fs::symlink_status(there, error))) {
        if (there.has_filename())
            missing.push_back(there.filename());
        there = there.parent_path();
    }
    fs::path result = SCXHOST_TRY(check_trusted(there));
    for (; !missing.empty(); missing.pop_back()) {
        result /= missing.back();
        if ((::mkdir(result.c_str(), mode) != 0 && errno != EEXIST) || ::chmod(result.c_str(), mode) != 0)
            return fail_errno(errno == EACCES || errno == EPERM ? ErrorKind::kPermission : ErrorKind::kIo,
                              "cannot make the folder " + result.string(), errno);
    }
    return check_trusted(result);
}

Result<> check_readable_by_all(const std::filesystem::path& path) {
    std::error_code error;
    const std::filesystem::path resolved = std::filesystem::canonical(path, error);
    if (error)
        return fail_errno(error == std::errc::permission_denied ? ErrorKind::kPermission : ErrorKind::kIo,
                          "cannot examine " + path.string(), error.value());
    for (std::filesystem::path part = resolved;; part = part.parent_path()) {
        struct stat status{};
        if (::stat(part.c_str(), &status) != 0)
            return fail_errno(ErrorKind::kIo, "cannot examine " + part.string(), errno);
        const mode_t needed = (part == resolved ? S_IROTH : 0U) | (S_ISDIR(status.st_mode) ? S_IXOTH : 0U);
        if ((status.st_mode & needed) != needed)
            return fail(ErrorKind::kPermission, part.string() + " is not for everybody to read");
        if (part == part.root_path())
            return {};
    }
}

} // namespace scxhost
