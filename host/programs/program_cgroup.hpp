// SPDX-License-Identifier: GPL-2.0-only
//
// The cgroup (v2) that a program and all it starts live in: what limits it, and how none of it is left behind.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace scxhost {

struct ProgramLimits {
    std::optional<std::uint64_t> memory_max; // bytes, of all its processes together
    std::optional<std::uint64_t> pids_max;   // threads, of all its processes together
};

class ProgramCgroup {
public:
    static constexpr const char* kRoot = "/sys/fs/cgroup";
    // A host in a cgroup of this name has programs beside it, not below it, since the kernel gives no limits to
    // children of a cgroup that has processes of its own. A service manager puts it there (DelegateSubgroup=), or it
    // goes there by itself when a limit is asked for.
    static constexpr const char* kHostSubgroup = "scxhost-host";

    // Makes a new one below this process's own. Errors: kPermission, kIo; kUnsupported when a limit is asked for and
    // its controller cannot be had here.
    static Result<ProgramCgroup> make(const std::string& name, const ProgramLimits& limits);

    // Whether this process could make one, without making it. Errors: kPermission; kUnsupported without version 2.
    static Result<> check_base();

    // Removes those of hosts that were killed; what still has a process in it stays.
    static void remove_left_behind();

    ProgramCgroup(ProgramCgroup&&) noexcept = default;
    ProgramCgroup& operator=(ProgramCgroup&& other) noexcept;
    ~ProgramCgroup(); // kills what is in it, and removes it if that has gone by then

    [[nodiscard]] int fd() const { return folder_.get(); }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    void kill_all() const;
    // True: it is gone. False: somebody is still in it.
    [[nodiscard]] bool remove();
    // How often the kernel has killed something in it for want of memory.
    [[nodiscard]] std::uint64_t oom_kills() const;

private:
    ProgramCgroup(std::filesystem::path path, UniqueFd folder);
    std::filesystem::path path_; // empty: removed
    UniqueFd folder_;
};

} // namespace scxhost
