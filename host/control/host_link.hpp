// SPDX-License-Identifier: GPL-2.0-only
//
// A connection to a running host's control socket on an event loop: calls whose answers come later, and the host's
// events. When the host is not there it is looked for again and again.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace scxhost {

class HostLink {
public:
    // While there is no host.
    static constexpr std::chrono::seconds kRetry{2};

    using Answer = std::function<void(Result<nlohmann::json>)>;
    struct Handlers {
        std::function<void()> connected; // each time; it may call
        std::function<void()> lost;      // after the calls that were under way have failed
        std::function<void(const nlohmann::json& event)> event;
    };

    // `loop` must outlive the link.
    HostLink(EventLoop& loop, std::filesystem::path socket, Handlers handlers);
    HostLink(const HostLink&) = delete;
    HostLink& operator=(const HostLink&) = delete;
    ~HostLink();

    // Connects before it returns, when there is a host.
    void start() { connect(); }
    // `answer` is called once: with the host's answer or error; with kNoHost, at once when there is no host; or with
    // kUsage, when the host would not take a call that long. Not at all at the link's end.
    void call(const std::string& method, nlohmann::json params, Answer answer);
    // Calls that have no answer yet.
    [[nodiscard]] std::size_t calls() const { return calls_.size(); }
    [[nodiscard]] bool connected() const { return static_cast<bool>(fd_); }
    // Why not.
    [[nodiscard]] const Error& error() const { return error_; }

private:
    void connect();
    void look_again();
    void ready();
    void receive();
    void flush();
    void take(std::string_view line);
    void lose(Error error);

    EventLoop& loop_;
    std::filesystem::path socket_;
    Handlers handlers_;
    Error error_;
    UniqueFd fd_;
    EventLoop::Watch watch_;
    EventLoop::Watch retry_;
    std::string in_;
    std::string out_;
    std::uint64_t last_id_ = 0;
    std::map<std::uint64_t, Answer> calls_;
};

} // namespace scxhost
