// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/regular_file.hpp"

#include "host/base/content_hash.hpp"
#include "host/base/missing_file.hpp"
#include "host/base/unique_fd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>

namespace scxhost {
namespace {

// Longer than any file system's step of time; FAT has two seconds.
constexpr std::chrono::seconds kTimeStep{3};
constexpr std::size_t kChunkBytes = 1U << 16U;

// O_NONBLOCK: opening a pipe must not wait for who writes to it.
UniqueFd open_to_read(const std::filesystem::path& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

ssize_t read_piece(int fd, std::span<std::byte> buffer) {
    ssize_t got = 0;
    do
        got = ::read(fd, buffer.data(), buffer.size());
    while (got < 0 && errno == EINTR);
    return got;
}

ssize_t read_piece_at(int fd, std::span<std::byte> buffer, off_t offset) {
    ssize_t got = 0;
    do
        got = ::pread(fd, buffer.data(), buffer.size(), offset);
    while (got < 0 && errno == EINTR);
    return got;
}

std::chrono::nanoseconds to_duration(const timespec& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

FileStamp stamp_of(const struct stat& status) {
    return {.device = status.st_dev,
            .inode = status.st_ino,
            .bytes = static_cast<std::uint64_t>(status.st_size),
            .modified = to_duration(status.st_mtim),
            .changed = to_duration(status.st_ctim)};
}

// Whether a later change is sure to give the file another time. One from the future proves nothing either.
bool is_settled(const FileStamp& stamp) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return stamp.changed + kTimeStep < to_duration(now);
}

std::optional<FileVersion> hash_content(int fd, std::size_t limit) {
    std::array<std::byte, kChunkBytes> buffer;
    FileVersion version;
    ContentHash hash;
    for (;;) {
        const ssize_t got = read_piece_at(fd, buffer, static_cast<off_t>(version.bytes));
        if (got < 0)
            return std::nullopt;
        if (got == 0)
            break;
        hash.add(std::span(buffer).first(static_cast<std::size_t>(got)));
        version.bytes += static_cast<std::uint64_t>(got);
        if (version.bytes > limit)
            return std::nullopt;
    }
    version.hash = hash.value();
    return version;
}

} // namespace

bool begins_with(const std::filesystem::path& path, std::string_view bytes) {
    const UniqueFd file = open_to_read(path);
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    std::array<std::byte, 16> first;
    const auto got = read_piece_at(file.get(), std::span(first).first(bytes.size()), 0);
    return got == static_cast<ssize_t>(bytes.size()) &&
           std::string_view(reinterpret_cast<const char*>(first.data()), bytes.size()) == bytes;
}

Result<std::vector<std::byte>> read_binary_file(const std::filesystem::path& path, std::size_t limit,
                                                std::string_view description) {
    const UniqueFd fd = open_to_read(path);
    if (!fd && errno == ENOENT)
        return fail(missing_file(path));
    if (!fd)
        return fail_errno(ErrorKind::kIo, fmt::format("cannot open {} {}", description, path.string()), errno);
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0)
        return fail_errno(ErrorKind::kIo, fmt::format("cannot examine {} {}", description, path.string()), errno);
    if (!S_ISREG(status.st_mode))
        return fail(ErrorKind::kIo, fmt::format("{} {} is not a regular file", description, path.string()));
    if (status.st_size < 0 || static_cast<std::size_t>(status.st_size) > limit)
        return fail(ErrorKind::kIo, fmt::format("{} {} has {} bytes, more than the limit of {}", description,
                                                path.string(), status.st_size, limit));

    std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got = read_piece(fd.get(), std::span(bytes).subspan(done));
        if (got < 0)
            return fail_errno(ErrorKind::kIo, fmt::format("cannot read {} {}", description, path.string()), errno);
        if (got == 0)
            break; // truncated while we read: what is there is what counts
        done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
}

FileReading read_file_version(const std::filesystem::path& path, std::size_t limit, const FileReading& before) {
    const UniqueFd fd = open_to_read(path);
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
        return {};
    const FileStamp stamp = stamp_of(status);
    if (before.stamp == stamp)
        return before;
    FileReading reading;
    // Asked before the content is read: what is changed while we read is noticed the next time.
    if (is_settled(stamp))
        reading.stamp = stamp;
    if (stamp.bytes <= limit)
        reading.version = hash_content(fd.get(), limit);
    return reading;
}

std::optional<FileVersion> read_file_version(int fd, std::size_t limit) {
    struct stat status{};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) > limit)
        return std::nullopt;
    return hash_content(fd, limit);
}

} // namespace scxhost
