// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/host_link.hpp"

#include "host/control/client.hpp"
#include "host/control/protocol.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace scxhost {

HostLink::HostLink(EventLoop& loop, std::filesystem::path socket, Handlers handlers)
    : loop_(loop)
    , socket_(std::move(socket))
    , handlers_(std::move(handlers)) {}

HostLink::~HostLink() = default;

void HostLink::connect() {
    Result<UniqueFd> fd = connect_control_socket(socket_);
    if (fd && ::fcntl(fd->get(), F_SETFL, O_NONBLOCK) != 0)
        fd = fail_errno(ErrorKind::kInternal, "cannot use the control socket", errno);
    if (fd) {
        if (Result<EventLoop::Watch> watch = loop_.watch(fd->get(), {}, [this] { ready(); })) {
            watch_ = *std::move(watch);
            fd_ = *std::move(fd);
            in_.clear();
            out_.clear();
            handlers_.connected();
            return;
        } else {
            fd = fail(std::move(watch).error());
        }
    }
    error_ = std::move(fd).error();
    look_again();
}

void HostLink::look_again() {
    if (Result<EventLoop::Watch> retry = loop_.timer(kRetry, [this] { connect(); }))
        retry_ = *std::move(retry);
    else
        loop_.stop(); // nothing would ever come of it
}

void HostLink::call(const std::string& method, nlohmann::json params, Answer answer) {
    if (!fd_)
        return answer(fail(error_));
    const std::uint64_t id = ++last_id_;
    const std::string line = format_call(Call{.id = id, .method = method, .params = std::move(params)});
    if (line.size() > kMaxRequestBytes) // who sends one is cut off, and with him all who call through this link
        return answer(fail(ErrorKind::kUsage, "the call is too long"));
    calls_.emplace(id, std::move(answer));
    out_ += line;
    flush();
}

void HostLink::ready() {
    receive();
    if (fd_)
        flush();
}

void HostLink::receive() {
    std::array<char, 16384> buffer;
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        return lose({.kind = ErrorKind::kNoHost, .what = "the host has ended", .hint = "its log says why"});
    in_.append(buffer.data(), static_cast<std::size_t>(got));
    std::size_t begin = 0;
    for (std::size_t end = in_.find('\n'); end != std::string::npos && fd_; end = in_.find('\n', begin)) {
        const std::string line = in_.substr(begin, end - begin);
        begin = end + 1;
        take(line);
    }
    if (!fd_)
        return;
    in_.erase(0, begin);
    if (in_.size() >= kMaxAnswerBytes)
        lose({.kind = ErrorKind::kIo, .what = "the host's answer is too long"});
}

void HostLink::take(std::string_view line) {
    Result<Incoming> incoming = parse_incoming(line);
    if (!incoming)
        return lose(std::move(incoming).error());
    if (incoming->event)
        return handlers_.event(*incoming->event);
    if (!incoming->id.is_number_unsigned())
        return; // of a call that was refused before it was read: the host hangs up next
    const auto found = calls_.extract(incoming->id.get<std::uint64_t>());
    if (!found.empty() && incoming->answer)
        found.mapped()(*std::move(incoming->answer));
}

void HostLink::flush() {
    while (!out_.empty()) {
        const ssize_t done = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            break; // a host that is gone is found out by reading, as are its last words
        out_.erase(0, static_cast<std::size_t>(done));
    }
    (void)watch_.set({.readable = true, .writable = !out_.empty()});
}

void HostLink::lose(Error error) {
    watch_.reset();
    fd_.reset();
    error_ = std::move(error);
    for (auto& [id, answer] : std::exchange(calls_, {}))
        answer(fail(error_));
    handlers_.lost();
    look_again();
}

} // namespace scxhost
