// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/program_cgroup.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

// How deep the cgroups of a program are followed when they are removed.
constexpr int kMaxDepth = 16;
// How many of them a program may make: the event loop removes them.
constexpr std::string_view kMaxDescendants = "256";
constexpr std::string_view kDelegate =
    "a service needs Delegate=memory pids and ProtectControlGroups=no: programs.conf has "
    "both (docs/programs.md)";

int write_word(const fs::path& path, std::string_view word) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), word.data(), word.size()) < 0)
        return errno;
    return 0;
}

// Where programs' cgroups go.
Result<fs::path> base_cgroup() {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("0::/")) {
            const fs::path own = fs::path(ProgramCgroup::kRoot) / line.substr(4);
            return own.filename() == ProgramCgroup::kHostSubgroup ? own.parent_path() : own;
        }
    return fail(ErrorKind::kUnsupported, "this process is in no cgroup of version 2",
                fmt::format("mount it: mount -t cgroup2 cgroup2 {}", ProgramCgroup::kRoot));
}

// Into a cgroup of the host's own, so that there is nothing in `base` that keeps the kernel from giving limits to what
// is below it. Only where nobody else is in the way.
bool move_aside(const fs::path& base) {
    std::ifstream file(base / "cgroup.procs");
    for (pid_t pid = 0; file >> pid;)
        if (pid != ::getpid())
            return false;
    const fs::path own = base / ProgramCgroup::kHostSubgroup;
    return (::mkdir(own.c_str(), 0755) == 0 || errno == EEXIST) && write_word(own / "cgroup.procs", "0") == 0;
}

int turn_on(const fs::path& base, std::string_view controller) {
    const fs::path file = base / "cgroup.subtree_control";
    const std::string word = fmt::format("+{}", controller);
    const int error = write_word(file, word);
    return error == EBUSY && move_aside(base) ? write_word(file, word) : error;
}

// With those that the program has made below it. Nothing of it runs any more, so that only folders are left.
bool remove_tree(const fs::path& cgroup, int depth) {
    if (::rmdir(cgroup.c_str()) == 0 || errno == ENOENT)
        return true;
    if (depth == 0)
        return false;
    std::error_code error;
    for (fs::directory_iterator entry(cgroup, error); !error && entry != fs::directory_iterator();
         entry.increment(error))
        if (std::error_code ignored; entry->is_directory(ignored) && !entry->is_symlink(ignored))
            (void)remove_tree(entry->path(), depth - 1);
    return ::rmdir(cgroup.c_str()) == 0 || errno == ENOENT;
}

Result<> set_limit(const fs::path& base, const fs::path& cgroup, std::string_view controller, std::uint64_t limit) {
    const fs::path file = cgroup / fmt::format("{}.max", controller);
    if (!fs::exists(file))
        if (const int error = turn_on(base, controller); error != 0)
            return fail_errno(ErrorKind::kUnsupported,
                              fmt::format("{}: its {} controller cannot be turned on, so {}_max cannot be kept",
                                          base.string(), controller, controller),
                              error, fmt::format("leave {}_max out, or: {}", controller, kDelegate));
    if (const int error = write_word(file, fmt::format("{}", limit)); error != 0)
        return fail_errno(ErrorKind::kIo, fmt::format("{}: cannot write {}", file.string(), limit), error);
    return {};
}

} // namespace

ProgramCgroup::ProgramCgroup(fs::path path, UniqueFd folder)
    : path_(std::move(path))
    , folder_(std::move(folder)) {}

Result<> ProgramCgroup::check_base() {
    const fs::path base = SCXHOST_TRY(base_cgroup());
    if (::faccessat(AT_FDCWD, base.c_str(), W_OK | X_OK, AT_EACCESS) != 0) // EROFS on a mount that is read-only
        return fail_errno(ErrorKind::kPermission, fmt::format("it can make no cgroup in {}", base.string()), errno,
                          std::string(kDelegate));
    return {};
}

Result<ProgramCgroup> ProgramCgroup::make(const std::string& name, const ProgramLimits& limits) {
    const fs::path base = SCXHOST_TRY(base_cgroup());
    static unsigned number = 0; // of the loop's thread
    const fs::path path = base / fmt::format("scxhost-{}-{}-{}", ::getpid(), ++number, name);
    if (::mkdir(path.c_str(), 0755) != 0)
        return fail_errno(errno == EROFS || errno == EACCES || errno == EPERM ? ErrorKind::kPermission : ErrorKind::kIo,
                          fmt::format("{}: cannot make a cgroup for the program", path.string()), errno,
                          std::string(kDelegate));
    ProgramCgroup cgroup(path, UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    if (!cgroup.folder_)
        return fail_errno(ErrorKind::kIo, fmt::format("{}: cannot open it", path.string()), errno);
    (void)write_word(path / "cgroup.max.descendants", kMaxDescendants);
    (void)write_word(path / "cgroup.max.depth", fmt::format("{}", kMaxDepth));
    // To show what it takes. Where that would need more, or is not allowed, nothing is shown.
    (void)write_word(base / "cgroup.subtree_control", "+memory");
    if (limits.memory_max)
        SCXHOST_TRY(set_limit(base, path, "memory", *limits.memory_max));
    if (limits.pids_max)
        SCXHOST_TRY(set_limit(base, path, "pids", *limits.pids_max));
    return cgroup;
}

void ProgramCgroup::remove_left_behind() {
    const Result<fs::path> base = base_cgroup();
    if (!base)
        return;
    std::error_code error;
    for (fs::directory_iterator entry(*base, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        pid_t host = 0;
        if (std::sscanf(entry->path().filename().c_str(), "scxhost-%d-", &host) == 1 && host > 0 &&
            ::kill(host, 0) != 0 && errno == ESRCH)
            (void)remove_tree(entry->path(), kMaxDepth);
    }
}

ProgramCgroup& ProgramCgroup::operator=(ProgramCgroup&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(folder_, other.folder_);
    return *this;
}

ProgramCgroup::~ProgramCgroup() {
    if (folder_ && !path_.empty()) {
        kill_all();
        (void)remove();
    }
}

void ProgramCgroup::kill_all() const {
    (void)write_word(path_ / "cgroup.kill", "1");
}

bool ProgramCgroup::remove() {
    if (path_.empty())
        return true;
    if (!remove_tree(path_, kMaxDepth))
        return false;
    path_.clear();
    return true;
}

std::uint64_t ProgramCgroup::oom_kills() const {
    std::ifstream file(path_ / "memory.events");
    std::string word;
    for (std::uint64_t count = 0; file >> word >> count;)
        if (word == "oom_kill")
            return count;
    return 0;
}

} // namespace scxhost
