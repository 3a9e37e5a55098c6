// SPDX-License-Identifier: GPL-2.0-only
//
// Reads files that somebody names and that may be anything: pipes, devices and what is too large are refused, and
// opening one never waits for its other end. Every call waits for the file system.
#pragma once

#include "host/base/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace scxhost {

// Reads a regular file of at most `limit` bytes. Errors: kIo, with the errno; `description` names the file's purpose
// ("plugin", "BPF object") in messages.
Result<std::vector<std::byte>> read_binary_file(const std::filesystem::path& path, std::size_t limit,
                                                std::string_view description);

// Whether it is a regular file that can be read and whose first bytes are these (at most 16).
[[nodiscard]] bool begins_with(const std::filesystem::path& path, std::string_view bytes);

// Which content a file has: equal for equal bytes, whatever its name, times and inode are.
struct FileVersion {
    std::uint64_t bytes = 0;
    std::uint64_t hash = 0; // ContentHash

    friend bool operator==(const FileVersion&, const FileVersion&) = default;
};

// What the file system says about a file without its content being read.
struct FileStamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t bytes = 0;
    std::chrono::nanoseconds modified{};
    std::chrono::nanoseconds changed{}; // the inode's own time, which no program can set

    friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

struct FileReading {
    std::optional<FileVersion> version; // nullopt: no regular file that can be read, or one above the limit
    // As of before the content was read; nullopt when the same stamp later would not prove the same content: file
    // systems count time in steps, so a file that was changed a moment ago can be changed again without a new time.
    std::optional<FileStamp> stamp;
};

// Which content the file has now. When its stamp is `before`'s, the content is not read again.
[[nodiscard]] FileReading read_file_version(const std::filesystem::path& path, std::size_t limit,
                                            const FileReading& before = {});
// The same of a file that is open already, wherever its position is, which stays. nullopt as in FileReading.
[[nodiscard]] std::optional<FileVersion> read_file_version(int fd, std::size_t limit);

} // namespace scxhost
