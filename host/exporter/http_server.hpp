// SPDX-License-Identifier: GPL-2.0-only
//
// Connections over which one request comes and one answer goes, on an event loop, without a thread. Nobody is waited
// for: what a connection may take of time and memory is bounded, and when there are too many the one that has been
// silent longest goes, so that clients who ask nothing keep nobody out.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// A listening socket for "ADDRESS:PORT", "[ADDRESS]:PORT" of IPv6: numbers, no names. kUsage; kIo, kPermission, kBusy
// (somebody has the port).
[[nodiscard]] Result<UniqueFd> listen_at(const std::string& address);
// What a socket is bound to, in the same form.
[[nodiscard]] std::string address_of(int fd);

class HttpServer {
public:
    struct Limits {
        std::size_t connections = 32;
        std::size_t request_bytes = 8192;                         // with its headers
        std::chrono::nanoseconds time = std::chrono::seconds(10); // from the connection's begin to its end
    };
    // The bytes of a request, up to the empty line behind its headers, to those of the answer; `over_loopback` when it
    // came to an address of this machine alone. May take its time: the clients' clocks are its caller's business.
    using Respond = std::function<std::string(std::string_view request, bool over_loopback)>;
    struct Handlers {
        Respond respond;
        std::string_view too_long;  // the answer to a request that is
        std::function<void()> came; // somebody did
    };

    // `loop` must outlive the server. The sockets listen.
    static Result<std::unique_ptr<HttpServer>> start(EventLoop& loop, std::vector<UniqueFd> sockets, Handlers handlers,
                                                     Limits limits);
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;
    ~HttpServer();

    [[nodiscard]] std::size_t connections() const { return connections_.size(); }
    // Nobody could be let in: for a moment nobody is looked for.
    [[nodiscard]] bool pauses() const { return bool(pause_); }

private:
    struct Connection;
    struct Listener {
        UniqueFd fd;
        EventLoop::Watch watch;
    };

    HttpServer(EventLoop& loop, Handlers handlers, Limits limits);
    void accept(int listener);
    bool make_room(); // false: there is nobody to cut off
    void pause_accepting();
    void go_on_accepting();
    void ready(std::uint64_t id);
    void receive(Connection& connection);
    void take_request(Connection& connection);
    void flush(Connection& connection);
    void forget(std::uint64_t id);

    EventLoop& loop_;
    const Handlers handlers_;
    const Limits limits_;
    std::vector<Listener> listeners_;
    EventLoop::Watch pause_;
    std::list<std::unique_ptr<Connection>> connections_; // the oldest first
    std::uint64_t last_id_ = 0;
};

} // namespace scxhost
