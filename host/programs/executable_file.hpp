// SPDX-License-Identifier: GPL-2.0-only
//
// A program's file, opened once: what is hashed is what is executed, however often, and whatever the path names by
// then. The kernel executes the descriptor, and refuses writes to a file that it executes; so once the program runs,
// one more look at the content is final.
//
// A script is another matter. The kernel gives its interpreter a path, and the interpreter reads the file when it
// likes; so a script is executed by its path, and what can be said is that the path still names the same content when
// the program asks to attach. What a script runs is no part of it.
#pragma once

#include "host/base/regular_file.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

namespace scxhost {

class ExecutableFile {
public:
    // Opens and hashes the file that a configuration names, with all links resolved. Waits for the file system. Errors:
    // kConfig, the path is not absolute; kPlugin, there is no such program, or it is no file that can be executed;
    // kPermission, somebody else could change it; kIo, it cannot be read, or has more than `limit` bytes.
    static Result<std::shared_ptr<const ExecutableFile>> open(const std::filesystem::path& path,
                                                              std::size_t limit = kMaxBytes);

    static constexpr std::size_t kMaxBytes = 1U << 30U;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; } // resolved
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] std::uint64_t hash() const { return version_.hash; } // ContentHash
    [[nodiscard]] bool is_script() const { return is_script_; }

    // Whether what is executed is still what was hashed. Any thread; waits for the file system. kObject: it is not.
    [[nodiscard]] Result<> check_unchanged() const;

private:
    ExecutableFile(std::filesystem::path path, UniqueFd fd)
        : path_(std::move(path))
        , fd_(std::move(fd)) {}

    std::filesystem::path path_;
    UniqueFd fd_;
    FileVersion version_;
    bool is_script_ = false;
};

} // namespace scxhost
