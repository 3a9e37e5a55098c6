// SPDX-License-Identifier: GPL-2.0-only
//
// The control socket's server: one per host, on the supervisor's event loop. Nothing that a client does, or does not
// do, delays the loop: every descriptor is non-blocking, work per turn is bounded, and who is slow, greedy or wrong is
// cut off.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/config/config.hpp"

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace scxhost {

// Who is at the other end, by the kernel's word.
struct Peer {
    pid_t pid = 0;
    uid_t uid = 0;
    bool may_change = false; // root, or in the configured group
};

// Called once, now or later; harmless when the client is gone or the server has ended.
using Reply = std::function<void(Result<nlohmann::json>)>;

// What the server serves. All calls come on the loop's thread.
class ControlService {
public:
    virtual ~ControlService() = default;
    [[nodiscard]] virtual bool knows(const std::string& method) const = 0;
    // Whether the method changes anything: then only who may change may call it.
    [[nodiscard]] virtual bool changes(const std::string& method) const = 0;
    virtual void call(const std::string& method, const nlohmann::json& params, Reply reply) = 0;
};

class ControlServer {
public:
    static constexpr std::size_t kMaxClients = 32;
    static constexpr std::size_t kMaxUnsentBytes = 4U << 20U;
    static constexpr std::size_t kRecentEvents = 100;

    // Makes the socket: mode 0660, root's, and the configured group's. A stale one is replaced. Its folder is made when
    // it is missing. `loop` and `service` must outlive the server. Errors: kBusy (another host has it, named), kConfig
    // (no such group), kPermission, kIo.
    static Result<std::unique_ptr<ControlServer>> open(EventLoop& loop, const Config& config, ControlService& service);
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;
    ~ControlServer(); // removes the socket

    // To everybody who subscribed; the latest are kept for those who ask later.
    void publish(const nlohmann::json& event);

private:
    struct Client;

    ControlServer(EventLoop& loop, ControlService& service);
    Result<> listen(const Config& config);
    void accept();
    void read(std::uint64_t id);
    void handle(Client& client, std::string_view line);
    void send(Client& client, std::string text);
    void flush(Client& client);
    void drop(std::uint64_t id);
    [[nodiscard]] Result<Peer> identify(int fd) const;

    EventLoop& loop_;
    ControlService& service_;
    std::filesystem::path path_;
    gid_t group_ = 0; // 0: root only
    UniqueFd lock_;
    UniqueFd listener_;
    EventLoop::Watch watch_;
    std::map<std::uint64_t, std::unique_ptr<Client>> clients_;
    std::uint64_t last_client_ = 0;
    std::deque<nlohmann::json> recent_;
    std::shared_ptr<ControlServer*> self_; // for replies that come late: null once this is gone
};

// Makes a folder for the host alone, or checks the one that is there: root's or ours, not writable by others.
Result<> make_private_folder(const std::filesystem::path& folder, mode_t mode);

} // namespace scxhost
