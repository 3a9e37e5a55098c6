// SPDX-License-Identifier: GPL-2.0-only
//
// The other end of the control socket, for the commands. Blocking, with deadlines.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace scxhost {

class ControlClient {
public:
    using Clock = std::chrono::steady_clock;

    // Errors: those of connect_control_socket().
    static Result<ControlClient> connect(const std::filesystem::path& socket,
                                         std::optional<Clock::time_point> deadline = std::nullopt);

    // Sends a call and waits for its answer; events that come meanwhile go to `on_event`, or are kept for next_event().
    // Without a deadline it waits for as long as it takes, but no more than ten seconds to be rid of the call. Errors:
    // the host's own, kNoHost (it has ended), kIo (it does not answer, or not with messages of ours).
    Result<nlohmann::json> call(const std::string& method, nlohmann::json params,
                                std::optional<Clock::time_point> deadline,
                                const std::function<void(const nlohmann::json&)>& on_event = {});
    // The next event of a subscription. kNoHost: the host has ended.
    Result<nlohmann::json> next_event();

private:
    explicit ControlClient(UniqueFd fd)
        : fd_(std::move(fd)) {}
    Result<std::string> read_line(std::optional<Clock::time_point> deadline);
    [[nodiscard]] Result<> wait(std::optional<Clock::time_point> deadline) const;
    Result<> send(std::string_view text, std::optional<Clock::time_point> deadline);

    UniqueFd fd_;
    std::string in_;
    std::deque<nlohmann::json> events_;
    std::uint64_t last_id_ = 0;
};

// A connection to a host's control socket; it takes ten seconds at most, and less with an earlier deadline. Errors:
// kNoHost (nobody listens), kPermission (names who may), kUsage (no path for a socket), kIo (the host hangs).
[[nodiscard]] Result<UniqueFd>
connect_control_socket(const std::filesystem::path& socket,
                       std::optional<ControlClient::Clock::time_point> deadline = std::nullopt);

} // namespace scxhost
