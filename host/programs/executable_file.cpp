// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/executable_file.hpp"

#include "host/base/file_trust.hpp"
#include "host/base/units.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

namespace scxhost {

namespace fs = std::filesystem;

Result<std::shared_ptr<const ExecutableFile>> ExecutableFile::open(const fs::path& path, std::size_t limit) {
    if (!path.is_absolute())
        return fail(ErrorKind::kConfig, fmt::format("'{}' is no absolute path of a program", path.string()),
                    "write the whole path, /usr/bin/scx_lavd for example");
    std::error_code error;
    if (!fs::exists(path, error))
        return fail(ErrorKind::kPlugin, fmt::format("{}: there is no such program", path.string()),
                    "install it, or correct the path");
    fs::path resolved = SCXHOST_TRY(check_trusted(path));
    UniqueFd fd(::open(resolved.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    const int open_error = errno;
    if (!fs::is_regular_file(resolved, error) || ::access(resolved.c_str(), X_OK) != 0)
        return fail(ErrorKind::kPlugin, fmt::format("{}: it is no file that can be executed", path.string()),
                    "name the scheduler's program, not its folder or its object");
    if (!fd)
        return fail_errno(ErrorKind::kIo, fmt::format("{}: it cannot be read", path.string()), open_error,
                          "the host reads a program to tell one build of it from another");
    const std::shared_ptr<ExecutableFile> file(new ExecutableFile(std::move(resolved), std::move(fd)));
    const std::optional<FileVersion> version = read_file_version(file->fd(), limit);
    if (!version)
        return fail(ErrorKind::kIo,
                    fmt::format("{}: it cannot be read, or is larger than {}", path.string(), format_size(limit)));
    file->version_ = *version;
    std::array<char, 2> start{};
    file->is_script_ =
        ::pread(file->fd(), start.data(), start.size(), 0) == 2 && std::string_view(start.data(), start.size()) == "#!";
    return file;
}

Result<> ExecutableFile::check_unchanged() const {
    const std::optional<FileVersion> now =
        is_script_ ? read_file_version(path_, version_.bytes).version : read_file_version(fd(), version_.bytes);
    if (now != version_)
        return fail(ErrorKind::kObject, fmt::format("{}: it was changed while it was started", path_.string()),
                    "ask again when nobody writes to it");
    return {};
}

} // namespace scxhost
