// SPDX-License-Identifier: GPL-2.0-only
//
// The control socket's server: one per host, on the supervisor's event loop. Nothing that a client does, or does not
// do, delays the loop: every descriptor is non-blocking, work per turn is bounded, and who is slow, greedy or wrong is
// cut off.
//
// All clients together have a budget of the loop's CPU time, since the loop's thread has real-time priority. While it
// is used up, the server rests: who calls waits in a queue, root before the others, and is served as the budget comes
// in.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/token_bucket.hpp"
#include "host/base/unique_fd.hpp"
#include "host/config/config.hpp"
#include "host/control/protocol.hpp"

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// Who is at the other end, by the kernel's word.
struct Peer {
    pid_t pid = 0;
    uid_t uid = 0;
    bool may_change = false;      // root, the host's own user, or in control.group
    bool is_reader = false;       // in control.readers
    std::uint64_t connection = 0; // this one; no other has or had the same
};

// The groups whose members get to the socket.
struct ControlGroups {
    std::optional<gid_t> group;   // control.group: they may everything
    std::optional<gid_t> readers; // control.readers: they may look
};
// Finds those that the configuration names; root's own group (0) is none. Asks the group database, which may wait.
// kConfig: there is no such group.
[[nodiscard]] Result<ControlGroups> find_control_groups(const Config& config);

// Called once, now or later; harmless when the client is gone or the server has ended.
using Reply = std::function<void(Result<nlohmann::json>)>;

// What the server serves. All calls come on the loop's thread.
class ControlService {
public:
    virtual ~ControlService() = default;
    [[nodiscard]] virtual bool knows(const std::string& method) const = 0;
    // Whether the caller may is the service's to say.
    virtual void call(const std::string& method, const nlohmann::json& params, const Peer& caller, Reply reply) = 0;
    // Whether the event is this caller's to see.
    [[nodiscard]] virtual bool shows(const nlohmann::json& event, const Peer& caller) const = 0;
    // Nobody is at the other end of this connection any more. Not told at the server's end.
    virtual void gone(std::uint64_t connection) = 0;
};

class ControlServer {
public:
    static constexpr std::size_t kMaxClients = 32;
    // Of these, only root's: a group that fills its places cannot lock out who could stop it.
    static constexpr std::size_t kRootClients = 4;
    // Of one user whom the socket's access list lets in, by himself or as a reader, and of all such: they are less than
    // members of the group, and leave places to these. Nor can either kind keep out the other.
    static constexpr std::size_t kClientsOfDelegate = 8;
    static constexpr std::size_t kClientsOfDelegates = 12;
    static constexpr std::size_t kClientsOfReader = 4;
    static constexpr std::size_t kClientsOfReaders = 8;
    // Calls of one client that are taken at once, and then in a second; what it sends beyond that waits unread. The
    // loop's thread has real-time priority: a client that calls without end must not get to use it.
    static constexpr int kCallsAtOnce = 16;
    static constexpr int kCallsPerSecond = 64;
    // CPU time that the loop spends on all clients together: this much at once, and then in a second. What is under way
    // is finished; the next call waits until it is paid for.
    static constexpr std::chrono::milliseconds kCpuTimeAtOnce{100};
    static constexpr std::chrono::milliseconds kCpuTimePerSecond{200};
    // The same for clients that come: the limit is not to be evaded by calling again.
    static constexpr int kClientsAtOnce = 64;
    static constexpr int kClientsPerSecond = 128;
    // Of one client; who lets more pile up is cut off.
    static constexpr std::size_t kMaxUnsentBytes = 4U << 20U;
    // What is kept of the events: the latest, as many as fit into one answer.
    static constexpr std::size_t kRecentEvents = 100;
    static constexpr std::size_t kRecentBytes = kMaxAnswerBytes * 3 / 4;
    // A message that was begun is finished within this time; within it a client takes some of the output that waits for
    // it, and reads what it is told before it is cut off.
    static constexpr std::chrono::seconds kMessageTime{10};

    // Makes the socket: root's, and the configured group's with mode 0660; 0600 without one. `users` and the configured
    // readers get in too, by an access list. A stale one is replaced. Its folder is made when it is missing. `loop` and
    // `service` must outlive the server. Errors: kBusy (another host has it, named), kConfig (no such group, no usable
    // path), kUnsupported (no access lists there), kPermission, kIo. `message_time` is for tests.
    static Result<std::unique_ptr<ControlServer>> open(EventLoop& loop, const Config& config, ControlService& service,
                                                       std::vector<uid_t> users = {},
                                                       std::chrono::nanoseconds message_time = kMessageTime);
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;
    ~ControlServer(); // removes the socket

    // To everybody who subscribed; the latest are kept for those who ask later.
    void publish(const nlohmann::json& event);

private:
    struct Client;
    class Work;

    ControlServer(EventLoop& loop, ControlService& service, std::chrono::nanoseconds message_time);
    Result<> listen(const Config& config);
    Result<> let_in(const Config& config);
    void accept();
    [[nodiscard]] bool is_only_listed(const Peer& peer) const;
    [[nodiscard]] bool has_place_for(const Peer& peer) const;
    void pause_accepting(std::chrono::nanoseconds pause);
    [[nodiscard]] Result<Peer> identify(int fd) const;
    void ready(std::uint64_t id);
    void serve(Client& client);
    void go_on(std::uint64_t id);
    void enqueue(Client& client);
    void charge(std::chrono::nanoseconds cpu_time);
    void rest();
    void go_on_after_rest();
    [[nodiscard]] Client* find(std::uint64_t id) const;
    void forget(std::uint64_t id);
    void late(std::uint64_t id);
    void late_reader(std::uint64_t id);
    bool receive(Client& client);
    void take_lines(Client& client);
    void hold(Client& client);
    void watch_time(Client& client, bool began_anew);
    void handle(Client& client, std::string_view line);
    void forward(Client& client, Call call);
    void answered(std::uint64_t client_id, const nlohmann::json& call_id, const Result<nlohmann::json>& result);
    void answer(Client& client, const nlohmann::json& call_id, const Result<nlohmann::json>& result);
    void refuse(Client& client, std::string_view message);
    void send(Client& client, std::string_view text);
    bool flush(Client& client);
    void watch_reader(Client& client, bool took_some);
    [[nodiscard]] nlohmann::json recent_events(const Peer& caller) const;

    EventLoop& loop_;
    ControlService& service_;
    std::filesystem::path path_;
    ControlGroups groups_;
    std::vector<uid_t> users_;
    std::chrono::nanoseconds message_time_;
    UniqueFd lock_;
    UniqueFd listener_;
    EventLoop::Watch watch_;
    EventLoop::Watch pause_;
    TokenBucket arrivals_{kClientsAtOnce, kClientsPerSecond, TokenBucket::Clock::now()};
    std::map<std::uint64_t, std::unique_ptr<Client>> clients_;
    std::uint64_t last_client_ = 0;
    TokenBucket cpu_time_; // in milliseconds
    Work* work_ = nullptr; // the one that measures, while something is done for clients
    EventLoop::Watch rest_;
    bool resting_ = false;
    std::deque<std::uint64_t> queue_; // of clients who wait for the rest to be over
    struct Recent {
        nlohmann::json event;
        std::size_t bytes = 0;
    };
    std::deque<Recent> recent_;
    std::size_t recent_bytes_ = 0;
    std::shared_ptr<ControlServer*> self_; // for replies that come late: null once this is gone
};

} // namespace scxhost
