// SPDX-License-Identifier: GPL-2.0-only
//
// A client of HTTP that knows only bytes, so that it may be as slow, wrong or silent as a test wants.
#pragma once

#include "host/base/unique_fd.hpp"
#include "tests/support/loop_script.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace scxhost {

// To this port over the loopback device; nothing is sent yet.
inline void connect_to(int port, const UniqueFd& fd) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<in_port_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

inline UniqueFd connect_to(int port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    connect_to(port, fd);
    return fd;
}

inline void send_text(const UniqueFd& fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

// All that comes until the server hangs up.
inline std::string read_all(const UniqueFd& fd) {
    std::string text;
    std::array<char, 65536> buffer;
    for (;;) {
        pollfd polled{.fd = fd.get(), .events = POLLIN, .revents = 0};
        if (::poll(&polled, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) != 1)
            return text + "(and the server does not hang up)";
        const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (got <= 0)
            return text;
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

// The whole answer to a GET of /metrics.
inline std::string get_metrics(int port, std::string_view headers = "") {
    const UniqueFd fd = connect_to(port);
    send_text(fd, fmt::format("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n", port, headers));
    return read_all(fd);
}

} // namespace scxhost
