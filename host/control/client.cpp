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

Error silent() {
    return {
        .kind = ErrorKind::kIo, .what = "the host does not answer", .hint = "is it stopped, or busy? its log may say"};
}

// For connecting, and for sending: a host whose queue or buffer stays full for this long hangs.
constexpr std::chrono::microseconds kSendTime = std::chrono::seconds(10);
// poll() takes no longer ones; the deadline is looked at again after each.
constexpr std::chrono::milliseconds kLongestWait = std::chrono::hours(1);

// The time of connect() too, which poll() knows nothing of for such sockets. Zero would be for ever.
void limit_sending(int fd, std::optional<ControlClient::Clock::time_point> deadline) {
    std::chrono::microseconds left = kSendTime;
    if (deadline)
        left = std::clamp(std::chrono::ceil<std::chrono::microseconds>(*deadline - ControlClient::Clock::now()),
                          std::chrono::microseconds(1), kSendTime);
    const timeval time{.tv_sec = static_cast<time_t>(left / std::chrono::seconds(1)),
                       .tv_usec = static_cast<suseconds_t>((left % std::chrono::seconds(1)).count())};
    (void)::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

} // namespace

Result<UniqueFd> connect_control_socket(const std::filesystem::path& socket,
                                        std::optional<ControlClient::Clock::time_point> deadline) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.native().size() >= sizeof address.sun_path)
        return fail(ErrorKind::kUsage, fmt::format("the path {} is too long for a socket", socket.string()));
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail_errno(ErrorKind::kInternal, "cannot make a socket", errno);
    limit_sending(fd.get(), deadline);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return fd;
    if (errno == EAGAIN)
        return fail(silent());
    if (errno == EACCES || errno == EPERM)
        return fail_errno(ErrorKind::kPermission, fmt::format("cannot talk to the host at {}", socket.string()), errno,
                          "be root, in the group of the host's control.group, or a user of its [[delegate]] rules; to "
                          "look, in the group of its control.readers");
    return fail_errno(ErrorKind::kNoHost, fmt::format("no host is running at {}", socket.string()), errno,
                      "start one: scxhost run CONFIG; if its configuration names another socket, say --socket PATH");
}

Result<ControlClient> ControlClient::connect(const std::filesystem::path& socket,
                                             std::optional<Clock::time_point> deadline) {
    return ControlClient(SCXHOST_TRY(connect_control_socket(socket, deadline)));
}

Result<std::string> ControlClient::read_line(std::optional<Clock::time_point> deadline) {
    for (;;) {
        const std::size_t end = in_.find('\n');
        if (end != std::string::npos) {
            std::string line = in_.substr(0, end);
            in_.erase(0, end + 1);
            return line;
        }
        if (in_.size() >= kMaxAnswerBytes)
            return fail(ErrorKind::kIo, "the host's answer is too long");
        SCXHOST_TRY(wait(deadline));
        std::array<char, 16384> buffer;
        const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return fail(ended());
        in_.append(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    }
}

// Until there may be something to read.
Result<> ControlClient::wait(std::optional<Clock::time_point> deadline) const {
    pollfd waited{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    int ready = 0;
    do {
        std::chrono::milliseconds left = kLongestWait;
        if (deadline)
            left = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()),
                              std::chrono::milliseconds(0), kLongestWait);
        ready = ::poll(&waited, 1, static_cast<int>(left.count()));
        if (ready == 0 && deadline && Clock::now() >= *deadline)
            return fail(silent());
    } while (ready == 0);
    return {}; // or a signal came: then nothing is there, and the caller waits again
}

Result<> ControlClient::send(std::string_view text, std::optional<Clock::time_point> deadline) {
    while (!text.empty()) {
        limit_sending(fd_.get(), deadline);
        const ssize_t done = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN)
            return fail(silent());
        if (done <= 0)
            return fail(ended());
        text.remove_prefix(static_cast<std::size_t>(done));
    }
    return {};
}

Result<nlohmann::json> ControlClient::call(const std::string& method, nlohmann::json params,
                                           std::optional<Clock::time_point> deadline,
                                           const std::function<void(const nlohmann::json&)>& on_event) {
    const Call message{.id = ++last_id_, .method = method, .params = std::move(params)};
    const Result<> sent = send(format_call(message), deadline);
    // A host that wants no client any more has said why before it hung up.
    if (!sent && sent.error().kind != ErrorKind::kNoHost)
        return fail(sent.error());
    for (;;) {
        const std::string line = SCXHOST_TRY(read_line(deadline));
        Incoming incoming = SCXHOST_TRY(parse_incoming(line));
        if (incoming.event && on_event)
            on_event(*incoming.event);
        else if (incoming.event)
            events_.push_back(*std::move(incoming.event));
        else if (incoming.id == message.id || incoming.id.is_null()) // null: refused before it was read
            return *std::move(incoming.answer); // NOLINT(bugprone-unchecked-optional-access): no event, so an answer
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
