// SPDX-License-Identifier: GPL-2.0-only
//
// One start of somebody's program, as it is to be hosted: in its own cgroup and mount namespace, with nothing of the
// host's but three descriptors, and with its links asked for (link_gate.hpp).
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/programs/executable_file.hpp"
#include "host/programs/program_identity.hpp"

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace scxhost {

struct ProgramCommand {
    std::shared_ptr<const ExecutableFile> file;
    std::vector<std::string> args;          // without the program's name
    std::map<std::string, std::string> env; // beside PATH, HOME and LANG, which it always has; these may be set anew
    ProgramIdentity identity = {};
};

struct ProgramProcess {
    pid_t pid = 0;
    UniqueFd process; // a pidfd: readable when it has ended
    UniqueFd output;  // what it writes to stdout and stderr; not blocking
    UniqueFd setup;   // see receive_setup()
};

// How a process ended.
struct ProcessEnd {
    bool failed = false; // by a signal, for want of memory, or with another status than 0
    std::string how;     // "exited with status 1", "was killed by SIGSEGV"
};

// Starts a process that becomes the program. Call it from the thread that lives as long as the program may: the kernel
// kills the program when that one ends (PR_SET_PDEATHSIG). Returns before the program runs. Errors: kIo, kPermission.
[[nodiscard]] Result<ProgramProcess> start_process(const ProgramCommand& command, int cgroup);

// What the process says before it is the program. Call it when `setup` is readable, until it is done.
struct SetupMessage {
    enum class Kind { kNothingYet, kListener, kDone } kind = Kind::kNothingYet;
    UniqueFd listener; // of kListener: the seccomp filter's
};
// Errors: what the process could not do: kObject when it cannot be executed; kPermission, kIo.
[[nodiscard]] Result<SetupMessage> receive_setup(const ProgramProcess& process, const ProgramCommand& command);

// The statistics sockets of programs are in folders that only they see. This shows those of the process `pid` to
// everybody, at the place where they would be without the host: /run/scx/root becomes a link into its view of the file
// system. What is there and is no link of this kind stays. Errors: kIo.
Result<> show_sockets(pid_t pid);
// Takes the link away again if it still leads to `pid`.
void hide_sockets(pid_t pid);

// The root folder (O_PATH) of what the process sees of the file system; `pid` must not have been reaped. Errors: kIo.
[[nodiscard]] Result<UniqueFd> open_root(pid_t pid);

// Takes away what hides that a scheduler runs from the program (a file that says "disabled" over the kernel's own
// state). Waits for nothing, but it enters the program's namespaces: for a thread with a file system context of its own
// to lose. Errors: kIo.
Result<> unhide_state(int process);

} // namespace scxhost
