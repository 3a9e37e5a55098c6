// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/cgroup.hpp"

#include "host/base/suggest.hpp"
#include "host/base/unique_fd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace scxhost {
namespace {

// A file handle with room for the id, which is all that cgroup2 puts into one (fs/kernfs/mount.c).
struct CgroupHandle {
    std::array<std::uint64_t, sizeof(file_handle) / sizeof(std::uint64_t) + 1> words = {};

    [[nodiscard]] file_handle* handle() { return reinterpret_cast<file_handle*>(words.data()); }
};

// `name` without the root in front: "/sys/fs/cgroupX" does not have it.
std::string_view below_root(std::string_view name) {
    if (name.starts_with(kCgroupRoot) && (name.size() == kCgroupRoot.size() || name[kCgroupRoot.size()] == '/'))
        name.remove_prefix(kCgroupRoot.size());
    while (name.starts_with('/'))
        name.remove_prefix(1);
    return name;
}

} // namespace

std::optional<std::size_t> count_threads(std::string_view name) {
    constexpr int kMaxCgroups = 256;
    std::error_code error;
    const std::filesystem::path top = std::filesystem::path(kCgroupRoot) / below_root(name);
    // Where the controller counts them, that is one number.
    std::size_t threads = 0;
    if (std::ifstream current(top / "pids.current"); current >> threads)
        return threads;
    std::vector<std::filesystem::path> cgroups = {top};
    for (auto entry = std::filesystem::recursive_directory_iterator(top, error);
         !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
        if (!entry->is_directory(error))
            continue;
        if (cgroups.size() == kMaxCgroups)
            return std::nullopt;
        cgroups.push_back(entry->path());
    }
    if (error)
        return std::nullopt;
    threads = 0;
    for (const std::filesystem::path& cgroup : cgroups) {
        std::ifstream file(cgroup / "cgroup.threads");
        for (std::string line; std::getline(file, line);)
            ++threads;
    }
    return threads;
}

Result<std::uint64_t> find_cgroup(std::string_view name) {
    const std::string hint = fmt::format("give a folder below {}, such as \"/work\"", kCgroupRoot);
    const std::filesystem::path below(below_root(name));
    if (std::ranges::find(below, "..") != below.end() || name.find('\0') != std::string_view::npos)
        return fail(ErrorKind::kConfig, fmt::format("{} is no name of a cgroup", quote_text(name)), hint);
    const std::filesystem::path path = std::filesystem::path(kCgroupRoot) / below;

    const UniqueFd folder(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder)
        return fail(ErrorKind::kConfig,
                    errno == ENOENT || errno == ENOTDIR
                        ? fmt::format("there is no cgroup {}", path.string())
                        : fmt::format("cannot open the cgroup {}: {}", path.string(), error_number_text(errno)),
                    hint);
    struct statfs system = {};
    if (::fstatfs(folder.get(), &system) != 0 || system.f_type != CGROUP2_SUPER_MAGIC)
        return fail(ErrorKind::kConfig, fmt::format("{} is not in a cgroup2 file system", path.string()), hint);

    CgroupHandle id;
    id.handle()->handle_bytes = sizeof(std::uint64_t);
    int mount = 0;
    if (::name_to_handle_at(folder.get(), "", id.handle(), &mount, AT_EMPTY_PATH) != 0)
        return fail_errno(ErrorKind::kConfig, fmt::format("cannot tell the id of the cgroup {}", path.string()), errno);
    std::uint64_t result = 0;
    std::memcpy(&result, id.handle()->f_handle, sizeof result);
    return result;
}

} // namespace scxhost
