// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/server.hpp"

#include "host/base/file_trust.hpp"
#include "host/control/protocol.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <vector>

namespace scxhost {
namespace {

using nlohmann::json;

// A message that was begun is finished within this time, or the client is cut off.
constexpr auto kMessageTime = std::chrono::seconds(10);
// Calls of one client that are carried out before others have their turn.
constexpr int kCallsPerTurn = 16;

sockaddr_un address_of(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return address;
}

// The process that answers on the socket; nullopt when nobody does.
std::optional<ucred> listener_of(const std::filesystem::path& path) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_un address = address_of(path);
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return std::nullopt;
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return std::nullopt;
    return peer;
}

std::string process_name(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/comm", pid));
    std::string name;
    std::getline(file, name);
    return name.empty() ? "unknown" : name;
}

Error in_use(const std::filesystem::path& path) {
    std::string who = "another process";
    if (const std::optional<ucred> peer = listener_of(path))
        who = fmt::format("process {} ({})", peer->pid, process_name(peer->pid));
    return {.kind = ErrorKind::kBusy,
            .what = fmt::format("a host is running already: {} has {}", who, path.string()),
            .hint = "change what it runs with 'scxhost swap', or end it"};
}

bool in_groups(int fd, gid_t group) {
    std::vector<gid_t> groups(64);
    for (;;) {
        socklen_t size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
            groups.resize(size / sizeof(gid_t));
            return std::ranges::find(groups, group) != groups.end();
        }
        if (errno != ERANGE)
            return false;
        groups.resize(size / sizeof(gid_t));
    }
}

} // namespace

struct ControlServer::Client {
    std::uint64_t id = 0;
    UniqueFd fd;
    Peer peer;
    std::string in;
    std::string out;
    bool subscribed = false;
    bool closing = false; // when `out` is sent
    EventLoop::Watch watch;
    EventLoop::Watch deadline; // of a message that was begun
};

Result<> make_private_folder(const std::filesystem::path& folder, mode_t mode) {
    std::error_code error;
    std::filesystem::create_directories(folder.parent_path(), error);
    if (::mkdir(folder.c_str(), mode) != 0 && errno != EEXIST)
        return fail_errno(errno == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                          "cannot make the folder " + folder.string(), errno);
    SCXHOST_TRY(check_trusted(folder));
    return {};
}

ControlServer::ControlServer(EventLoop& loop, ControlService& service)
    : loop_(loop)
    , service_(service)
    , self_(std::make_shared<ControlServer*>(this)) {}

ControlServer::~ControlServer() {
    *self_ = nullptr;
    clients_.clear();
    if (listener_)
        ::unlink(path_.c_str());
}

Result<std::unique_ptr<ControlServer>> ControlServer::open(EventLoop& loop, const Config& config,
                                                           ControlService& service) {
    std::unique_ptr<ControlServer> server(new ControlServer(loop, service));
    SCXHOST_TRY(server->listen(config));
    server->watch_ = SCXHOST_TRY(loop.watch(server->listener_.get(), {}, [raw = server.get()] { raw->accept(); }));
    return server;
}

Result<> ControlServer::listen(const Config& config) {
    path_ = config.control.socket;
    if (!config.control.group.empty()) {
        const group* entry = ::getgrnam(config.control.group.c_str());
        if (entry == nullptr)
            return fail(
                Error{.kind = ErrorKind::kConfig,
                      .what = fmt::format("there is no group \"{}\" on this machine", config.control.group),
                      .hint = fmt::format("make it (groupadd --system {}), or leave control.group empty: root only",
                                          config.control.group),
                      .where = config.where("control.group")});
        group_ = entry->gr_gid;
    }
    SCXHOST_TRY(make_private_folder(path_.parent_path(), 0755));

    // Of two hosts that start at the same time, the lock decides; it goes with its holder.
    const std::string lock_path = path_.string() + ".lock";
    lock_ = UniqueFd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock_)
        return fail_errno(errno == EACCES ? ErrorKind::kPermission : ErrorKind::kIo, "cannot open " + lock_path, errno);
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
        return fail(in_use(path_));
    // Whatever is there now is no host's with this lock. A socket that answers is somebody's all the same.
    struct stat found{};
    if (::lstat(path_.c_str(), &found) == 0) {
        if (!S_ISSOCK(found.st_mode))
            return fail(ErrorKind::kConfig, fmt::format("{} is there and is no socket", path_.string()),
                        "choose another path: control.socket");
        if (listener_of(path_))
            return fail(in_use(path_));
        ::unlink(path_.c_str());
    }

    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener_)
        return fail_errno(ErrorKind::kIo, "cannot make a socket", errno);
    const sockaddr_un address = address_of(path_);
    // Nobody gets in between bind and the final mode.
    const mode_t old_mask = ::umask(0177);
    const int bound = ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = errno;
    ::umask(old_mask);
    if (bound != 0) {
        listener_.reset();
        return fail_errno(error == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                          "cannot make the control socket " + path_.string(), error);
    }
    if (group_ != 0 && ::chown(path_.c_str(), static_cast<uid_t>(-1), group_) != 0)
        return fail_errno(ErrorKind::kPermission,
                          fmt::format("cannot give {} to the group {}", path_.string(), config.control.group), errno);
    if (::chmod(path_.c_str(), 0660) != 0 || ::listen(listener_.get(), 16) != 0)
        return fail_errno(ErrorKind::kIo, "cannot listen on " + path_.string(), errno);
    return {};
}

Result<Peer> ControlServer::identify(int fd) const {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return fail_errno(ErrorKind::kPermission, "cannot tell who calls", errno);
    const bool in_group = group_ != 0 && (credentials.gid == group_ || in_groups(fd, group_));
    return Peer{.pid = credentials.pid,
                .uid = credentials.uid,
                .may_change = credentials.uid == 0 || credentials.uid == ::geteuid() || in_group};
}

void ControlServer::accept() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd)
        return;
    if (clients_.size() >= kMaxClients) {
        const std::string text = format_error(nullptr, RpcError::kFailed, "too many clients; try again later");
        (void)::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
    }
    const Result<Peer> peer = identify(fd.get());
    if (!peer)
        return;
    auto client = std::make_unique<Client>();
    client->id = ++last_client_;
    client->fd = std::move(fd);
    client->peer = *peer;
    Result<EventLoop::Watch> watch = loop_.watch(client->fd.get(), {}, [this, id = client->id] { read(id); });
    if (!watch)
        return;
    client->watch = *std::move(watch);
    clients_.emplace(client->id, std::move(client));
}

// Called when there is something to read, or room to write.
void ControlServer::read(std::uint64_t id) {
    const auto found = clients_.find(id);
    if (found == clients_.end())
        return;
    Client& client = *found->second;
    std::array<char, 16384> buffer;
    const ssize_t got = ::recv(client.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        return drop(id);
    if (got > 0 && !client.closing)
        client.in.append(buffer.data(), static_cast<std::size_t>(got));
    std::size_t begin = 0;
    for (int calls = 0; !client.closing; ++calls) {
        const std::size_t end = client.in.find('\n', begin);
        if (end == std::string::npos)
            break;
        if (calls == kCallsPerTurn) {
            send(client, format_error(nullptr, RpcError::kInvalidRequest, "too many calls at a time"));
            client.closing = true;
            break;
        }
        if (end > begin)
            handle(client, std::string_view(client.in).substr(begin, end - begin));
        begin = end + 1;
    }
    client.in.erase(0, begin);
    if (client.in.size() >= kMaxRequestBytes && !client.closing) {
        send(client, format_error(nullptr, RpcError::kInvalidRequest,
                                  fmt::format("a message has at most {} bytes", kMaxRequestBytes)));
        client.closing = true;
    }
    if (client.in.empty() || client.closing) {
        client.deadline.reset();
    } else if (!client.deadline) {
        if (Result<EventLoop::Watch> timer = loop_.timer(kMessageTime, [this, id] { drop(id); }))
            client.deadline = *std::move(timer);
    }
    flush(client);
}

void ControlServer::handle(Client& client, std::string_view text) {
    std::expected<Call, BadCall> call = parse_call(text);
    if (!call)
        return send(client, format_error(call.error().id, call.error().code, call.error().message));
    if (call->method == "version")
        return send(client, format_result(call->id, {{"protocol", kProtocolVersion}, {"version", SCXHOST_VERSION}}));
    if (call->method == "subscribe") {
        client.subscribed = true;
        return send(client, format_result(call->id, {{"subscribed", true}}));
    }
    if (call->method == "events")
        return send(client, format_result(call->id, {{"events", recent_}}));
    if (!service_.knows(call->method))
        return send(client, format_error(call->id, RpcError::kMethodNotFound,
                                         fmt::format("there is no method \"{}\"", call->method.substr(0, 64))));
    if (service_.changes(call->method) && !client.peer.may_change)
        return send(client, format_error(call->id, Error{.kind = ErrorKind::kPermission,
                                                         .what = fmt::format("user {} may look, but not {}",
                                                                             client.peer.uid, call->method),
                                                         .hint = "be root, or in the group of control.group"}));
    service_.call(
        call->method, call->params,
        [self = std::weak_ptr<ControlServer*>(self_), id = client.id, call_id = call->id](const Result<json>& result) {
            const std::shared_ptr<ControlServer*> server = self.lock();
            if (!server || *server == nullptr)
                return;
            const auto caller = (*server)->clients_.find(id);
            if (caller == (*server)->clients_.end())
                return;
            (*server)->send(*caller->second,
                            result ? format_result(call_id, *result) : format_error(call_id, result.error()));
            (*server)->flush(*caller->second);
        });
}

void ControlServer::send(Client& client, std::string text) {
    if (client.out.size() + text.size() > kMaxUnsentBytes) {
        // It does not read: cut off at the next turn of the loop, not under the caller's feet.
        client.closing = true;
        client.subscribed = false;
        client.out.clear();
        ::shutdown(client.fd.get(), SHUT_RDWR);
        return;
    }
    client.out += text;
}

void ControlServer::flush(Client& client) {
    while (!client.out.empty()) {
        const ssize_t sent = ::send(client.fd.get(), client.out.data(), client.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0)
            break;
        client.out.erase(0, static_cast<std::size_t>(sent));
    }
    if (client.closing && client.out.empty())
        ::shutdown(client.fd.get(), SHUT_RDWR); // the loop then reads the end
    (void)client.watch.set({.readable = true, .writable = !client.out.empty()});
}

void ControlServer::drop(std::uint64_t id) {
    clients_.erase(id);
}

void ControlServer::publish(const json& event) {
    recent_.push_back(event);
    if (recent_.size() > kRecentEvents)
        recent_.pop_front();
    std::string text;
    for (const auto& [id, client] : clients_) {
        if (!client->subscribed)
            continue;
        if (text.empty())
            text = format_event(event);
        send(*client, text);
        flush(*client);
    }
}

} // namespace scxhost
