// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/client.hpp"

#include "host/control/protocol.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace scxhost {
namespace {

Error ended() {
    return {.kind = ErrorKind::kNoHost, .what = "the host has ended", .hint = "its log says why"};
}

} // namespace

Result<ControlClient> ControlClient::connect(const std::filesystem::path& socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.native().size() >= sizeof address.sun_path)
        return fail(ErrorKind::kUsage, fmt::format("the path {} is too long for a socket", socket.string()));
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return ControlClient(std::move(fd));
    if (errno == EACCES || errno == EPERM)
        return fail_errno(ErrorKind::kPermission, fmt::format("cannot talk to the host at {}", socket.string()), errno,
                          "be root, or in the group of the host's control.group");
    return fail_errno(ErrorKind::kNoHost, fmt::format("no host is running at {}", socket.string()), errno,
                      "start one: scxhost run CONFIG; if its configuration names another socket, say --socket PATH");
}

Result<std::string> ControlClient::read_line(std::optional<Clock::time_point> deadline) {
    for (;;) {
        if (const std::size_t end = in_.find('\n'); end != std::string::npos) {
            std::string line = in_.substr(0, end);
            in_.erase(0, end + 1);
            return line;
        }
        if (in_.size() > 4 * kMaxAnswerBytes)
            return fail(ErrorKind::kIo, "the host's answer is too long");
        pollfd waited{.fd = fd_.get(), .events = POLLIN, .revents = 0};
        int timeout = -1;
        if (deadline)
            timeout = static_cast<int>(std::max<std::int64_t>(
                0, std::chrono::duration_cast<std::chrono::milliseconds>(*deadline - Clock::now()).count()));
        const int ready = ::poll(&waited, 1, timeout);
        if (ready == 0)
            return fail(ErrorKind::kIo, "the host does not answer", "is it stopped, or busy? its log may say");
        if (ready < 0 && errno == EINTR)
            continue;
        std::array<char, 16384> buffer;
        const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (got <= 0)
            return fail(ended());
        in_.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

Result<nlohmann::json> ControlClient::call(const std::string& method, nlohmann::json params,
                                           std::optional<Clock::time_point> deadline,
                                           const std::function<void(const nlohmann::json&)>& on_event) {
    const Call message{.id = ++last_id_, .method = method, .params = std::move(params)};
    const std::string text = format_call(message);
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t done = ::send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (done <= 0)
            return fail(ended());
        sent += static_cast<std::size_t>(done);
    }
    for (;;) {
        const std::string line = SCXHOST_TRY(read_line(deadline));
        Incoming incoming = SCXHOST_TRY(parse_incoming(line));
        if (incoming.event && on_event)
            on_event(*incoming.event);
        else if (incoming.event)
            events_.push_back(*std::move(incoming.event));
        else if (incoming.id == message.id || incoming.id.is_null()) // null: refused before it was read
            return *std::move(incoming.answer);
    }
}

Result<nlohmann::json> ControlClient::next_event() {
    while (events_.empty()) {
        const std::string line = SCXHOST_TRY(read_line(std::nullopt));
        Incoming incoming = SCXHOST_TRY(parse_incoming(line));
        if (incoming.event)
            events_.push_back(*std::move(incoming.event));
    }
    nlohmann::json event = std::move(events_.front());
    events_.pop_front();
    return event;
}

} // namespace scxhost
