// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/program_process.hpp"

#include "host/programs/link_gate.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

// Programs look here whether another scheduler runs, and end when it does.
constexpr const char* kState = "/sys/kernel/sched_ext/state";
// Any folder will do that is there: it is covered for as long as it takes to make the file.
constexpr const char* kWorkshop = "/sys/fs/cgroup";
constexpr const char* kMask = "/sys/fs/cgroup/state";

// Where schedulers have the socket on which they serve statistics. Two processes of one program would make the same
// one, so each has a folder of its own there, which the others do not see.
constexpr const char* kSockets = "/run/scx";

enum class Step : std::uint32_t { kOutput, kNamespace, kMaskState, kIdentity, kFilter, kExecute };

// From the process to us. The listener comes with the first one.
struct Message {
    Step step = Step::kOutput;
    int error = 0; // 0: the listener is here
};

// All that the child needs, made before: between clone3() and execve() only system calls are safe, since another thread
// may have held any lock.
struct Preparation {
    const char* path = nullptr;
    int file = -1; // what is executed; -1: what the path names
    std::vector<char*> argv;
    std::vector<char*> envp;
    int null = -1;
    int output = -1;
    int setup = -1;
    pid_t parent = 0;
    const ProgramIdentity* identity = nullptr;
    const char* sockets = nullptr; // the options of the mount that its sockets go to
};

bool send(int socket, const Message& message, int fd) {
    Message copy = message;
    iovec bytes{&copy, sizeof copy};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    if (fd >= 0) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr* item = CMSG_FIRSTHDR(&header);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof fd);
        std::memcpy(CMSG_DATA(item), &fd, sizeof fd);
    }
    return ::sendmsg(socket, &header, MSG_NOSIGNAL) == sizeof copy;
}

bool mask_state() {
    if (::mount("tmpfs", kWorkshop, "tmpfs", MS_NODEV | MS_NOEXEC | MS_NOSUID, "mode=755,size=64k") != 0)
        return false;
    constexpr std::string_view kText = "disabled\n";
    const int file = ::open(kMask, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    return file >= 0 && ::write(file, kText.data(), kText.size()) == static_cast<ssize_t>(kText.size()) &&
           ::close(file) == 0 && ::mount(kMask, kState, nullptr, MS_BIND, nullptr) == 0 &&
           ::umount2(kWorkshop, MNT_DETACH) == 0;
}

// It has these capabilities and, since it can gain no others (no_new_privs), never more. A user other than root keeps
// them over execve() as ambient ones.
bool take_identity(const ProgramIdentity& identity) {
    // First, since another user has no CAP_SETPCAP any more. What it cannot have it cannot give to a program with file
    // capabilities either. Only who has CAP_SETPCAP may drop it from there; without, no_new_privs keeps it from being
    // had.
    for (unsigned number = 0; number <= CAP_LAST_CAP; ++number)
        if ((identity.capabilities >> number & 1) == 0)
            ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
    if (identity.changes_user) {
        // Directly: the wrappers of the C library would also tell the other threads, of which this process has none.
        if (::syscall(SYS_setgroups, identity.groups.size(), identity.groups.data()) != 0 ||
            ::syscall(SYS_setresgid, identity.gid, identity.gid, identity.gid) != 0 ||
            ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
            ::syscall(SYS_setresuid, identity.uid, identity.uid, identity.uid) != 0)
            return false;
        // Cleared by the line above.
        if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
            return false;
    }
    __user_cap_header_struct header{};
    header.version = _LINUX_CAPABILITY_VERSION_3;
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0)
        return false;
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto kept = data[i].permitted & static_cast<__u32>(identity.capabilities >> (32 * i));
        data[i] = {kept, kept, identity.changes_user ? kept : 0};
    }
    if (::syscall(SYS_capset, &header, data.data()) != 0)
        return false;
    for (unsigned number = 0; identity.changes_user && number <= CAP_LAST_CAP; ++number)
        if ((data[number / 32].inheritable >> (number % 32) & 1) != 0 &&
            ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0)
            return false;
    return true;
}

[[noreturn]] void become(const Preparation& prepared) {
    const auto give_up = [&](Step step) {
        send(prepared.setup, {step, errno}, -1);
        ::_exit(127);
    };
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != prepared.parent)
        ::_exit(127); // the host died before the line above
    for (int signal = 1; signal < NSIG; ++signal)
        ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // The host's loop is a real-time thread, and what it starts must not be.
    const sched_param ordinary{};
    ::sched_setscheduler(0, SCHED_OTHER, &ordinary);
    ::setpriority(PRIO_PROCESS, 0, 0);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::setsid(); // no terminal of ours, so that its signals reach us alone

    if (::dup2(prepared.null, 0) < 0 || ::dup2(prepared.output, 1) < 0 || ::dup2(prepared.output, 2) < 0 ||
        ::syscall(SYS_close_range, 3, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0 || ::chdir("/") != 0)
        give_up(Step::kOutput);
    ::umask(022);
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        give_up(Step::kNamespace);
    if (!mask_state())
        give_up(Step::kMaskState);
    // Where the folder cannot be made there is none to share either.
    if ((::mkdir(kSockets, 0755) == 0 || errno == EEXIST) &&
        ::mount("tmpfs", kSockets, "tmpfs", MS_NODEV | MS_NOEXEC | MS_NOSUID, prepared.sockets) != 0)
        give_up(Step::kNamespace);

    if (!take_identity(*prepared.identity) || ::getppid() != prepared.parent) // the host may have died unnoticed in it
        give_up(Step::kIdentity);
    const sock_fprog filter{static_cast<unsigned short>(kLinkFilter.size()),
                            const_cast<sock_filter*>(kLinkFilter.data())};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        give_up(Step::kFilter);
    const auto listener =
        static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                   SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter));
    if (listener < 0 || !send(prepared.setup, {Step::kFilter, 0}, listener))
        give_up(Step::kFilter);
    if (prepared.file >= 0)
        ::syscall(SYS_execveat, prepared.file, "", prepared.argv.data(), prepared.envp.data(), AT_EMPTY_PATH);
    else
        ::execve(prepared.path, prepared.argv.data(), prepared.envp.data());
    give_up(Step::kExecute);
    __builtin_unreachable();
}

Error setup_error(const Message& message, const ProgramCommand& command) {
    const auto error = [&](ErrorKind kind, std::string_view what, std::string hint) {
        return fail_errno(kind, fmt::format("{}: {}", command.file->path().string(), what), message.error,
                          std::move(hint))
            .error();
    };
    switch (message.step) {
    case Step::kExecute:
        return error(ErrorKind::kObject, "the program cannot be executed",
                     message.error == ENOENT   ? "the interpreter that it names is missing"
                     : message.error == EACCES ? "may program.user execute it, and the interpreter that it names?"
                                               : "");
    case Step::kNamespace:
    case Step::kMaskState:
        return error(message.error == EPERM || message.error == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                     "cannot give the program its own view of the kernel's scheduler state",
                     "the host needs CAP_SYS_ADMIN, and as a service no RestrictNamespaces= and no ~@mount");
    case Step::kIdentity:
        return error(ErrorKind::kPermission, "cannot give the program its user and its capabilities",
                     "program.user needs CAP_SETUID and CAP_SETGID");
    case Step::kFilter:
        return error(ErrorKind::kPermission, "cannot make the program ask before it attaches",
                     "only one seccomp listener can be above a program");
    case Step::kOutput:
        break;
    }
    return error(ErrorKind::kIo, "cannot prepare the program's descriptors", "");
}

} // namespace

Result<ProgramProcess> start_process(const ProgramCommand& command, int cgroup) {
    const auto failed = [&](std::string_view what) {
        return fail_errno(errno == EPERM || errno == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                          fmt::format("{}: {}", command.file->path().string(), what), errno);
    };
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return failed("cannot make a pipe for its output");
    ProgramProcess process;
    process.output = UniqueFd(ends[0]);
    const UniqueFd output(ends[1]);
    ::fcntl(process.output.get(), F_SETFL, O_NONBLOCK);
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
        return failed("cannot make a socket to it");
    process.setup = UniqueFd(ends[0]);
    const UniqueFd setup(ends[1]);
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null)
        return failed("cannot open /dev/null");

    std::map<std::string, std::string> env{
        {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {"HOME", "/"}, {"LANG", "C.UTF-8"}};
    for (const auto& [name, value] : command.env)
        env[name] = value;
    std::vector<std::string> words{command.file->path().string()};
    words.insert(words.end(), command.args.begin(), command.args.end());
    std::vector<std::string> settings;
    for (const auto& [name, value] : env)
        settings.push_back(fmt::format("{}={}", name, value));
    const std::string sockets =
        fmt::format("mode=755,size=1m,uid={},gid={}", command.identity.uid, command.identity.gid);
    Preparation prepared{.path = command.file->path().c_str(),
                         .file = command.file->is_script() ? -1 : command.file->fd(),
                         .argv = {},
                         .envp = {},
                         .null = null.get(),
                         .output = output.get(),
                         .setup = setup.get(),
                         .parent = ::getpid(),
                         .identity = &command.identity,
                         .sockets = sockets.c_str()};
    for (std::string& word : words)
        prepared.argv.push_back(word.data());
    prepared.argv.push_back(nullptr);
    for (std::string& setting : settings)
        prepared.envp.push_back(setting.data());
    prepared.envp.push_back(nullptr);

    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_NEWNS;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup);
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid == 0)
        become(prepared);
    // ENOSYS: a service's RestrictNamespaces= lets clone3() look as if it were not there.
    if (pid < 0 && (errno == EPERM || errno == ENOSYS))
        return fail_errno(
            ErrorKind::kPermission, fmt::format("{}: cannot start a process for it", command.file->path().string()),
            errno,
            "the host needs CAP_SYS_ADMIN, and as a service no RestrictNamespaces=: programs.conf has both "
            "(docs/programs.md)");
    if (pid < 0)
        return failed("cannot start a process for it");
    process.pid = pid;
    process.process = UniqueFd(pidfd);
    return process;
}

Result<SetupMessage> receive_setup(const ProgramProcess& process, const ProgramCommand& command) {
    Message message;
    iovec bytes{&message, sizeof message};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(process.setup.get(), &header, MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return SetupMessage{};
    if (got < 0)
        return fail_errno(ErrorKind::kIo,
                          fmt::format("{}: cannot hear from its process", command.file->path().string()), errno);
    if (got != sizeof message)
        return SetupMessage{SetupMessage::Kind::kDone, {}}; // closed by a successful execve(), or by its death
    if (message.error != 0)
        return fail(setup_error(message, command));
    SetupMessage answer{SetupMessage::Kind::kListener, {}};
    if (const cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr && item->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(item), sizeof fd);
        answer.listener = UniqueFd(fd);
    }
    return answer;
}

namespace {

// By default a program's sockets are in this folder, whoever runs it.
constexpr const char* kSocketsLink = "/run/scx/root";

std::string sockets_of(pid_t pid) {
    return fmt::format("/proc/{}/root/run/scx/root", pid);
}

} // namespace

Result<> show_sockets(pid_t pid) {
    std::error_code error;
    const std::filesystem::path old = std::filesystem::read_symlink(kSocketsLink, error);
    if (!error && !old.native().starts_with("/proc/"))
        return {};
    const std::string next = fmt::format("{}.next", kSocketsLink);
    ::unlink(next.c_str());
    if (::symlink(sockets_of(pid).c_str(), next.c_str()) != 0 || ::rename(next.c_str(), kSocketsLink) != 0) {
        const int failure = errno;
        ::unlink(next.c_str());
        if (failure == EEXIST || failure == ENOTEMPTY || failure == EISDIR || failure == ENOENT)
            return {}; // a folder of somebody else's; or there is no /run/scx
        return fail_errno(ErrorKind::kIo, fmt::format("cannot make {} for the program's statistics", kSocketsLink),
                          failure);
    }
    return {};
}

void hide_sockets(pid_t pid) {
    std::error_code error;
    if (std::filesystem::read_symlink(kSocketsLink, error) == sockets_of(pid))
        ::unlink(kSocketsLink);
}

Result<UniqueFd> open_root(pid_t pid) {
    UniqueFd root(::open(fmt::format("/proc/{}/root", pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root)
        return fail_errno(ErrorKind::kIo, "cannot look at what the program sees of the file system", errno);
    return root;
}

Result<> unhide_state(int process) {
    // A mount namespace is entered only by a thread that shares its root and working folder with no other.
    if (::unshare(CLONE_FS) != 0 || ::setns(process, CLONE_NEWNS) != 0 ||
        ::umount2(kState, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
        return fail_errno(ErrorKind::kIo, "cannot show the program the kernel's real scheduler state", errno);
    return {};
}

} // namespace scxhost
