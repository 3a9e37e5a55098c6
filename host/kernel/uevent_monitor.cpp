// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/uevent_monitor.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace scxhost {
namespace {

constexpr std::string_view kFolder = "/kernel/sched_ext/";
// The multicast group of the kernel's own messages; device managers use another one for theirs.
constexpr unsigned kKernelGroup = 1;
// Room for a burst, such as a CPU going offline. The kernel drops messages that find the buffer full.
constexpr int kReceiveBuffer = 1 << 20;
// The kernel's limit is 2 KiB of variables and a path; a longer message cannot be about sched_ext.
constexpr std::size_t kMaxMessage = 8192;

} // namespace

std::optional<SchedExtUevent> parse_sched_ext_uevent(std::string_view message) {
    SchedExtUevent event;
    std::string_view action;
    bool is_scheduler = false;
    while (!message.empty()) {
        const std::string_view field = message.substr(0, message.find('\0'));
        message.remove_prefix(std::min(field.size() + 1, message.size()));
        const std::size_t equals = field.find('=');
        if (equals == std::string_view::npos)
            continue; // the head line, which repeats action and path
        const std::string_view key = field.substr(0, equals);
        const std::string_view value = field.substr(equals + 1);
        if (key == "ACTION") {
            action = value;
        } else if (key == "DEVPATH") {
            event.devpath = value;
        } else if (key == "SCXOPS") {
            is_scheduler = true;
            // Before 7.0 the kernel has forgotten the scheduler when it sends its removal, and writes "(efault)".
            if (!value.starts_with('('))
                event.ops = value;
        } else if (key == "SEQNUM") {
            std::from_chars(value.data(), value.data() + value.size(), event.seqnum);
        }
    }
    // The kernel's containers (the folder of sub-schedulers, for one) send events too, without a scheduler's name.
    if (!event.devpath.starts_with(kFolder) || !is_scheduler)
        return std::nullopt;
    if (action == "add")
        event.action = SchedExtUevent::Action::kAdded;
    else if (action == "remove")
        event.action = SchedExtUevent::Action::kRemoved;
    else
        return std::nullopt;
    return event;
}

bool is_cpu_hotplug_uevent(std::string_view message) {
    const std::string_view head = message.substr(0, message.find('\0'));
    return head.starts_with("online@/devices/system/cpu/cpu") || head.starts_with("offline@/devices/system/cpu/cpu");
}

Result<UeventMonitor> UeventMonitor::open() {
    UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    if (!socket)
        return fail_errno(ErrorKind::kIo, "cannot open a socket for kernel events", errno);

    // Best effort: the first needs CAP_NET_ADMIN, the second is capped; an overflow is reported by drain() anyway.
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer)) != 0)
        (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));

    sockaddr_nl address = {};
    address.nl_family = AF_NETLINK;
    address.nl_groups = kKernelGroup;
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
        return fail_errno(ErrorKind::kIo, "cannot listen for kernel events", errno);
    return UeventMonitor(std::move(socket));
}

Result<UeventMonitor::Batch> UeventMonitor::drain() {
    Batch batch;
    std::array<char, kMaxMessage> buffer;
    for (;;) {
        sockaddr_nl sender = {};
        socklen_t sender_size = sizeof(sender);
        const ssize_t got = ::recvfrom(socket_.get(), buffer.data(), buffer.size(), 0,
                                       reinterpret_cast<sockaddr*>(&sender), &sender_size);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN)
                return batch;
            if (errno != ENOBUFS)
                return fail_errno(ErrorKind::kIo, "cannot read kernel events", errno);
            batch.lost = true; // reported once for any number of drops; what is still queued follows
            continue;
        }
        // Any process may send to this socket, but only the kernel has port 0.
        if (sender_size != sizeof(sender) || sender.nl_pid != 0)
            continue;
        const std::string_view message(buffer.data(), static_cast<std::size_t>(got));
        batch.cpus_changed = batch.cpus_changed || is_cpu_hotplug_uevent(message);
        if (auto event = parse_sched_ext_uevent(message))
            batch.events.push_back(*std::move(event));
    }
}

} // namespace scxhost
