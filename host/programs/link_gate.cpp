// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/link_gate.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace scxhost {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_RISCV64;
#else
#error "host/programs/link_gate.cpp lacks this architecture's AUDIT_ARCH_ constant"
#endif
// x86-64 takes calls of the x32 ABI under the same architecture, with this bit in their numbers.
constexpr std::uint32_t kX32Bit = 0x40000000;
// The kernel takes flags in the command's upper half (7.1, BPF_COMMON_ATTRS).
constexpr std::uint32_t kCommandMask = 0xffff;

constexpr std::uint32_t kArgument0 =
    offsetof(seccomp_data, args) + (std::endian::native == std::endian::little ? 0 : 4);

constexpr sock_filter load(std::uint32_t offset) {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
constexpr sock_filter jump(std::uint16_t comparison, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
    return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), value, yes, no);
}
constexpr sock_filter ret(std::uint32_t what) {
    return BPF_STMT(BPF_RET | BPF_K, what);
}

pid_t process_of(pid_t thread) {
    std::ifstream status(fmt::format("/proc/{}/status", thread));
    for (std::string word; status >> word;)
        if (word == "Tgid:") {
            pid_t pid = 0;
            status >> pid;
            return pid;
        }
    return 0;
}

} // namespace

const std::array<sock_filter, 11> kLinkFilter = {{
    load(offsetof(seccomp_data, arch)),
    jump(BPF_JEQ, kArchitecture, 0, 8), // another one: ends
    load(offsetof(seccomp_data, nr)),
    jump(BPF_JGE, kX32Bit, 6, 0), // ends
    jump(BPF_JEQ, __NR_bpf, 0, 4),
    load(kArgument0),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kCommandMask),
    jump(BPF_JEQ, BPF_LINK_CREATE, 0, 1),
    ret(SECCOMP_RET_USER_NOTIF),
    ret(SECCOMP_RET_ALLOW),
    ret(SECCOMP_RET_KILL_PROCESS),
}};

LinkGate::LinkGate(UniqueFd listener, UniqueFd process, pid_t pid, std::vector<OpsLayout> layouts)
    : listener_(std::move(listener))
    , process_(std::move(process))
    , pid_(pid)
    , layouts_(std::move(layouts)) {}

Result<std::optional<LinkGate::HeldCall>> LinkGate::wait() {
    for (;;) {
        std::array<pollfd, 2> sources{{{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
        if (::poll(sources.data(), sources.size(), -1) < 0) {
            if (errno == EINTR)
                continue;
            return fail_errno(ErrorKind::kIo, "cannot wait for the program's calls", errno);
        }
        // Hung up: the last process with the filter is gone.
        if (sources[1].revents != 0 || (sources[0].revents & POLLIN) == 0)
            return std::nullopt;
        seccomp_notif call{};
        if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
            if (errno == EINTR || errno == ENOENT) // the caller died between
                continue;
            return fail_errno(ErrorKind::kIo, "cannot receive the program's calls", errno);
        }
        Result<std::optional<HeldCall>> held =
            inspect(call.id, static_cast<pid_t>(call.pid), call.data.args[1], call.data.args[2]);
        if (!held) {
            answer(call.id, EPERM, 0);
            return fail(std::move(held).error());
        }
        if (*held)
            return held;
        answer(call.id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
    }
}

Result<std::optional<LinkGate::HeldCall>> LinkGate::inspect(std::uint64_t id, pid_t thread, std::uint64_t attr,
                                                            std::uint64_t size) const {
    bpf_attr attributes{};
    const iovec ours{&attributes, std::min<std::size_t>(size, sizeof attributes)};
    const iovec theirs{reinterpret_cast<void*>(attr), ours.iov_len};
    const ssize_t got = ::process_vm_readv(thread, &ours, 1, &theirs, 1, 0);
    const int error = errno;
    // By now the thread's number may be somebody else's.
    if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0)
        return std::nullopt;
    if (got < 0 && error != EFAULT)
        return fail_errno(ErrorKind::kPermission, "cannot read which link the program asks for", error,
                          "the host needs CAP_SYS_PTRACE, and kernel.yama.ptrace_scope must be less than 3");
    // What the kernel cannot read either, it refuses itself. The program could change the attributes before the kernel
    // reads them when the call passes: then it attaches by itself, which the kernel's state shows.
    if (got != static_cast<ssize_t>(ours.iov_len) || attributes.link_create.attach_type != BPF_STRUCT_OPS)
        return std::nullopt;
    const pid_t process = process_of(thread);
    const bool valid = ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
    if (!valid)
        return std::nullopt;
    if (process != pid_) {
        // Another kind of struct_ops is a child's own affair.
        const UniqueFd child(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
        const UniqueFd its_map(
            static_cast<int>(::syscall(SYS_pidfd_getfd, child.get(), attributes.link_create.map_fd, 0)));
        if (its_map && !flags_of_scheduler(its_map.get()))
            return std::nullopt;
        return fail(ErrorKind::kUnsupported,
                    fmt::format("a child of the program (process {}) asked to attach a scheduler", process),
                    "only a program that attaches its scheduler itself can be hosted: name the one that it starts, or "
                    "tell it to stay in the foreground");
    }
    UniqueFd map(static_cast<int>(::syscall(SYS_pidfd_getfd, process_.get(), attributes.link_create.map_fd, 0)));
    if (!map) {
        if (errno == EBADF || errno == ESRCH)
            return std::nullopt; // the kernel says so itself
        return fail_errno(ErrorKind::kPermission, "cannot duplicate the map of the program's scheduler", errno,
                          "the host needs CAP_SYS_PTRACE, and kernel.yama.ptrace_scope must be less than 3");
    }
    if (!flags_of_scheduler(map.get()))
        return std::nullopt;
    return HeldCall{id, thread, std::move(map)};
}

// nullopt: it is no map of a scheduler's struct_ops.
std::optional<std::uint32_t> LinkGate::flags_of_scheduler(int map) const {
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (::bpf_obj_get_info_by_fd(map, &info, &size) != 0 || info.type != BPF_MAP_TYPE_STRUCT_OPS ||
        std::ranges::find(layouts_, info.btf_vmlinux_value_type_id, &OpsLayout::value_type) == layouts_.end())
        return std::nullopt;
    return info.map_flags;
}

bool LinkGate::has_scheduler_without_link(std::size_t descriptors) const {
    namespace fs = std::filesystem;
    std::error_code error;
    for (fs::directory_iterator entry(fmt::format("/proc/{}/fd", pid_), error);
         !error && descriptors > 0 && entry != fs::directory_iterator(); entry.increment(error), --descriptors) {
        std::error_code gone;
        if (fs::read_symlink(entry->path(), gone) != "anon_inode:bpf-map")
            continue;
        const int number = std::atoi(entry->path().filename().c_str());
        const UniqueFd map(static_cast<int>(::syscall(SYS_pidfd_getfd, process_.get(), number, 0)));
        if (const auto flags = map ? flags_of_scheduler(map.get()) : std::nullopt; flags && !(*flags & BPF_F_LINK))
            return true;
    }
    return false;
}

Result<> LinkGate::hand_over(const HeldCall& call, int link) const {
    seccomp_notif_addfd request{};
    request.id = call.id;
    request.flags = SECCOMP_ADDFD_FLAG_SEND;
    request.srcfd = static_cast<__u32>(link);
    request.newfd_flags = O_CLOEXEC;
    while (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request) < 0)
        if (errno != EINTR)
            return fail_errno(ErrorKind::kIo, "the program did not take its link", errno);
    return {};
}

void LinkGate::refuse(const HeldCall& call, int error) const {
    answer(call.id, error, 0);
}

void LinkGate::answer(std::uint64_t id, int error, std::uint32_t flags) const {
    seccomp_notif_resp response{};
    response.id = id;
    response.error = -error;
    response.flags = flags;
    // It fails only when the caller is gone.
    while (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) != 0 && errno == EINTR) {
    }
}

} // namespace scxhost
