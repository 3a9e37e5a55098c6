// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/server.hpp"

#include "host/base/access_list.hpp"
#include "host/base/file_trust.hpp"
#include "host/control/private_parts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using nlohmann::json;

// Without a descriptor for it a new client stays in the queue, and would wake the loop without end.
constexpr auto kAcceptPause = std::chrono::seconds(1);
// What is left of a long text in an event that is too long as a whole.
constexpr std::size_t kLongText = 16U << 10U;
// Services that have given up root's user and capabilities still have it: being in it says nothing.
constexpr gid_t kRootsGroup = 0;

sockaddr_un address_of(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return address;
}

// The process that listens on the socket; pid 0 when somebody does whose name is not to be had, nullopt when nobody
// does.
std::optional<ucred> listener_of(const std::filesystem::path& path) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_un address = address_of(path);
    ucred peer{};
    socklen_t size = sizeof peer;
    if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        (void)::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
        return peer;
    }
    // Anything else, such as a full queue, is an answer too.
    return errno == ECONNREFUSED || errno == ENOENT ? std::nullopt : std::optional(peer);
}

std::string process_name(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/comm", pid));
    std::string name;
    std::getline(file, name);
    return name.empty() ? "unknown" : name;
}

Error in_use(const std::filesystem::path& path, const std::optional<ucred>& by) {
    std::string who = "another process";
    if (by && by->pid > 0)
        who = fmt::format("process {} ({})", by->pid, process_name(by->pid));
    return {.kind = ErrorKind::kBusy,
            .what = fmt::format("a host is running already: {} has {}", who, path.string()),
            .hint = "change what it runs with 'scxhost swap', or end it"};
}

bool in_groups(int fd, gid_t group) {
    std::vector<gid_t> groups(64);
    for (;;) {
        auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
            groups.resize(size / sizeof(gid_t));
            return std::ranges::find(groups, group) != groups.end();
        }
        if (errno != ERANGE)
            return false;
        groups.resize(size / sizeof(gid_t));
    }
}

std::chrono::nanoseconds thread_cpu_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

double in_milliseconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

// Both directions are closed: nobody is there to read an answer.
bool hung_up(int fd) {
    pollfd polled{.fd = fd, .events = 0, .revents = 0};
    return ::poll(&polled, 1, 0) != 0;
}

void shorten_texts(json& value) {
    if (value.is_string() && value.get_ref<const std::string&>().size() > kLongText)
        value.get_ref<std::string&>().resize(kLongText);
    if (value.is_structured())
        for (json& member : value)
            shorten_texts(member);
}

// An event's long texts may come from a plugin or a scheduler, with any length.
json shortened(json event) {
    shorten_texts(event);
    if (format_event(event).size() > ControlServer::kRecentBytes)
        event = {{"event", event.value("event", json())}, {"time", event.value("time", json())}};
    event["shortened"] = true;
    return event;
}

json without_private(json event) {
    drop_private(event);
    return event;
}

Result<std::optional<gid_t>> find_group(const Config& config, const std::string& key, const std::string& name,
                                        std::string_view without) {
    if (name.empty())
        return std::nullopt;
    if (const group* entry = ::getgrnam(name.c_str()))
        return entry->gr_gid == kRootsGroup ? std::nullopt : std::optional(entry->gr_gid);
    return fail(Error{.kind = ErrorKind::kConfig,
                      .what = fmt::format("there is no group \"{}\" on this machine", name),
                      .hint = fmt::format("make it (groupadd --system {}), or leave {} empty: {}", name, key, without),
                      .where = config.where(key)});
}

} // namespace

Result<ControlGroups> find_control_groups(const Config& config) {
    ControlGroups groups;
    groups.group = SCXHOST_TRY(find_group(config, "control.group", config.control.group, "root only"));
    groups.readers = SCXHOST_TRY(find_group(config, "control.readers", config.control.readers, "no readers"));
    return groups;
}

struct ControlServer::Client {
    std::uint64_t id = 0;
    UniqueFd fd;
    Peer peer;
    std::string in;
    std::string out;
    std::size_t unanswered = 0; // calls
    bool subscribed = false;
    bool ended = false;   // it sends nothing more, but may still read
    bool closing = false; // cut off as soon as `out` is sent
    EventLoop::Watch watch;
    bool queued = false;       // it waits for the server's rest to be over, and its descriptor is not looked at
    EventLoop::Watch deadline; // of a message that was begun, or of closing
    EventLoop::Watch reading;  // until when it takes some of `out`
    TokenBucket calls{kCallsAtOnce, kCallsPerSecond, TokenBucket::Clock::now()};
    EventLoop::Watch held; // while it has called too often: nothing is read from it
};

// Measures what is done for clients. One inside another measures nothing: answers come inside calls.
class ControlServer::Work {
public:
    explicit Work(ControlServer& server)
        : server_(server)
        , start_(thread_cpu_time()) {
        if (server_.work_ == nullptr)
            server_.work_ = this;
    }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    ~Work() {
        if (server_.work_ != this)
            return;
        settle();
        server_.work_ = nullptr;
    }
    // Charges what was used so far.
    void settle() {
        const std::chrono::nanoseconds now = thread_cpu_time();
        server_.charge(now - std::exchange(start_, now));
    }

private:
    ControlServer& server_;
    std::chrono::nanoseconds start_;
};

ControlServer::ControlServer(EventLoop& loop, ControlService& service, std::chrono::nanoseconds message_time)
    : loop_(loop)
    , service_(service)
    , message_time_(message_time)
    , cpu_time_(in_milliseconds(kCpuTimeAtOnce), in_milliseconds(kCpuTimePerSecond), TokenBucket::Clock::now())
    , self_(std::make_shared<ControlServer*>(this)) {}

ControlServer::~ControlServer() {
    *self_ = nullptr;
    clients_.clear();
    if (listener_)
        ::unlink(path_.c_str());
}

Result<std::unique_ptr<ControlServer>> ControlServer::open(EventLoop& loop, const Config& config,
                                                           ControlService& service, std::vector<uid_t> users,
                                                           std::chrono::nanoseconds message_time) {
    std::unique_ptr<ControlServer> server(new ControlServer(loop, service, message_time));
    server->users_ = std::move(users);
    SCXHOST_TRY(server->listen(config));
    server->watch_ = SCXHOST_TRY(loop.watch(
        server->listener_.get(), {}, [raw = server.get()] { raw->accept(); }, EventLoop::Priority::kClients));
    return server;
}

Result<> ControlServer::listen(const Config& config) {
    const std::filesystem::path& wanted = config.control.socket;
    groups_ = SCXHOST_TRY(find_control_groups(config));
    // Whatever the umask is: the group has to get in.
    const std::filesystem::path folder = SCXHOST_TRY(make_trusted_folder(wanted.parent_path(), 0755));
    path_ = folder / wanted.filename();
    if (!wanted.has_filename() || path_.native().size() >= sizeof(sockaddr_un::sun_path) ||
        path_.native().find('\0') != std::string::npos)
        return fail(Error{.kind = ErrorKind::kConfig,
                          .what = fmt::format("{} is no path for a socket", path_.string()),
                          .hint = fmt::format("a file's name, {} bytes at most with its folders and without links",
                                              sizeof(sockaddr_un::sun_path) - 1),
                          .where = config.where("control.socket")});

    // Of two hosts that start at the same time, the lock decides; it goes with its holder.
    const std::string lock_path = path_.string() + ".lock";
    lock_ = UniqueFd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock_)
        return fail_errno(errno == EACCES ? ErrorKind::kPermission : ErrorKind::kIo, "cannot open " + lock_path, errno);
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
        return fail(in_use(path_, listener_of(path_)));
    // Whatever is there now is no host's with this lock. A socket that answers is somebody's all the same.
    struct stat found{};
    if (::lstat(path_.c_str(), &found) == 0) {
        if (!S_ISSOCK(found.st_mode))
            return fail(ErrorKind::kConfig, fmt::format("{} is there and is no socket", path_.string()),
                        "choose another path: control.socket");
        if (const std::optional<ucred> listener = listener_of(path_))
            return fail(in_use(path_, listener));
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
    if (Result<> let = let_in(config); !let) {
        listener_.reset();
        ::unlink(path_.c_str());
        return let;
    }
    if (::listen(listener_.get(), 16) != 0)
        return fail_errno(ErrorKind::kIo, "cannot listen on " + path_.string(), errno);
    return {};
}

// The group before the mode: nobody of another group gets in between.
Result<> ControlServer::let_in(const Config& config) {
    if (groups_.group && ::chown(path_.c_str(), static_cast<uid_t>(-1), *groups_.group) != 0)
        return fail_errno(ErrorKind::kPermission,
                          fmt::format("cannot give {} to the group {}", path_.string(), config.control.group), errno);
    if (::chmod(path_.c_str(), groups_.group ? 0660 : 0600) != 0)
        return fail_errno(ErrorKind::kIo, "cannot set the mode of " + path_.string(), errno);
    std::vector<gid_t> readers;
    if (groups_.readers)
        readers.push_back(*groups_.readers);
    if (users_.empty() && readers.empty())
        return {};
    Result<> listed = scxhost::let_in(path_, users_, readers, groups_.group.has_value());
    if (!listed && listed.error().kind == ErrorKind::kUnsupported) {
        listed.error().hint = "choose another place for the socket (control.socket), such as below /run; or remove "
                              "[[delegate]] and control.readers, and put those users into the group of control.group";
        listed.error().where = config.where("control.socket");
    }
    return listed;
}

Result<Peer> ControlServer::identify(int fd) const {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return fail_errno(ErrorKind::kPermission, "cannot tell who calls", errno);
    const auto is_in = [&](const std::optional<gid_t>& group) {
        return group && (credentials.gid == *group || in_groups(fd, *group));
    };
    return Peer{.pid = credentials.pid,
                .uid = credentials.uid,
                .may_change = credentials.uid == 0 || credentials.uid == ::geteuid() || is_in(groups_.group),
                .is_reader = is_in(groups_.readers)};
}

// Also while the server rests: who comes has a limit of its own, and root could not be served first otherwise.
void ControlServer::accept() {
    const Work work(*this);
    if (!arrivals_.take(TokenBucket::Clock::now()))
        return pause_accepting(arrivals_.wait());
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            pause_accepting(kAcceptPause);
        return;
    }
    const Result<Peer> peer = identify(fd.get());
    if (!peer)
        return;
    // Who is gone, and waits in the queue to be found so, makes room.
    if (!has_place_for(*peer)) {
        std::vector<std::uint64_t> gone;
        for (const auto& [id, client] : clients_)
            if (hung_up(client->fd.get()))
                gone.push_back(id);
        for (const std::uint64_t id : gone)
            forget(id);
    }
    if (!has_place_for(*peer)) {
        const std::string text =
            format_error(nullptr, Error{.kind = ErrorKind::kBusy,
                                        .what = "the host has too many clients, all or of this user",
                                        .hint = "end some, or try again later"});
        (void)::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
    }
    auto client = std::make_unique<Client>();
    client->id = ++last_client_;
    client->fd = std::move(fd);
    client->peer = *peer;
    client->peer.connection = client->id;
    Result<EventLoop::Watch> watch =
        loop_.watch(client->fd.get(), {}, [this, id = client->id] { ready(id); }, EventLoop::Priority::kClients);
    if (!watch)
        return;
    client->watch = *std::move(watch);
    clients_.emplace(client->id, std::move(client));
}

bool ControlServer::is_only_listed(const Peer& peer) const {
    return !peer.may_change && (peer.is_reader || std::ranges::find(users_, peer.uid) != users_.end());
}

bool ControlServer::has_place_for(const Peer& peer) const {
    if (clients_.size() >= (peer.uid == 0 ? kMaxClients : kMaxClients - kRootClients))
        return false;
    if (!is_only_listed(peer))
        return true;
    std::size_t of_him = 0;
    std::size_t of_all = 0;
    for (const auto& [id, client] : clients_) {
        if (!is_only_listed(client->peer) || client->peer.is_reader != peer.is_reader)
            continue;
        of_him += client->peer.uid == peer.uid ? 1 : 0;
        ++of_all;
    }
    return of_him < (peer.is_reader ? kClientsOfReader : kClientsOfDelegate) &&
           of_all < (peer.is_reader ? kClientsOfReaders : kClientsOfDelegates);
}

void ControlServer::pause_accepting(std::chrono::nanoseconds pause) {
    if (Result<EventLoop::Watch> timer =
            loop_.timer(pause, [this] { (void)watch_.set({}); }, EventLoop::Priority::kClients)) {
        pause_ = *std::move(timer);
        (void)watch_.set({.readable = false, .writable = false});
    }
}

ControlServer::Client* ControlServer::find(std::uint64_t id) const {
    const auto found = clients_.find(id);
    return found == clients_.end() ? nullptr : found->second.get();
}

// The service hears of it when it is done: what it tells then goes to the others.
void ControlServer::forget(std::uint64_t id) {
    if (clients_.erase(id) > 0)
        service_.gone(id);
}

// Called when there is something to read, room to write, or nobody any more.
void ControlServer::ready(std::uint64_t id) {
    if (Client* client = find(id); client != nullptr && resting_)
        enqueue(*client);
    else if (client != nullptr)
        serve(*client);
}

void ControlServer::serve(Client& client) {
    const Work work(*this);
    if (!receive(client))
        return forget(client.id);
    take_lines(client);
    (void)flush(client);
}

// Its pause is over.
void ControlServer::go_on(std::uint64_t id) {
    Client* client = find(id);
    if (client == nullptr)
        return;
    client->held.reset();
    if (resting_)
        return enqueue(*client);
    const Work work(*this);
    take_lines(*client);
    (void)flush(*client);
}

void ControlServer::enqueue(Client& client) {
    if (std::exchange(client.queued, true))
        return;
    (void)client.watch.enable(false);
    const auto is_behind = [&](std::uint64_t other) {
        const Client* waiting = find(other);
        return client.peer.uid == 0 && (waiting == nullptr || waiting->peer.uid != 0);
    };
    queue_.insert(std::ranges::find_if(queue_, is_behind), client.id);
}

void ControlServer::charge(std::chrono::nanoseconds cpu_time) {
    if (!cpu_time_.charge(in_milliseconds(cpu_time), TokenBucket::Clock::now()) && !resting_)
        rest();
}

void ControlServer::rest() {
    Result<EventLoop::Watch> timer =
        loop_.timer(cpu_time_.wait(), [this] { go_on_after_rest(); }, EventLoop::Priority::kClients);
    if (!timer)
        return; // out of descriptors or memory: the limits of each client remain
    rest_ = *std::move(timer);
    resting_ = true;
}

// Those who wait, one after the other, until the budget is used up again.
void ControlServer::go_on_after_rest() {
    resting_ = false;
    while (!queue_.empty() && !resting_) {
        Client* client = find(queue_.front());
        queue_.pop_front();
        if (client == nullptr)
            continue;
        client->queued = false;
        (void)client->watch.enable(true);
        serve(*client);
    }
}

// False when nobody is at the other end.
bool ControlServer::receive(Client& client) {
    if (client.ended || client.held)
        return !hung_up(client.fd.get());
    std::array<char, 16384> buffer;
    const ssize_t got = ::recv(client.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0) {
        client.ended = true;
        client.in.clear();
        return !hung_up(client.fd.get());
    }
    if (!client.closing)
        client.in.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
}

void ControlServer::take_lines(Client& client) {
    std::size_t begin = 0;
    while (!client.closing && !client.held && !client.queued) {
        const std::size_t end = client.in.find('\n', begin);
        if (std::min(end, client.in.size()) - begin >= kMaxRequestBytes)
            refuse(client, fmt::format("a message has at most {} bytes", kMaxRequestBytes));
        else if (end == std::string::npos)
            break;
        else if (!client.calls.take(TokenBucket::Clock::now())) {
            hold(client);
            break;
        } else if (end > begin)
            handle(client, std::string_view(client.in).substr(begin, end - begin));
        begin = end + 1;
        work_->settle();
        if (resting_ && begin < client.in.size())
            enqueue(client);
    }
    if (client.closing)
        client.in.clear();
    else
        client.in.erase(0, begin);
    watch_time(client, begin > 0);
}

void ControlServer::hold(Client& client) {
    if (Result<EventLoop::Watch> timer =
            loop_.timer(client.calls.wait(), [this, id = client.id] { go_on(id); }, EventLoop::Priority::kClients))
        client.held = *std::move(timer);
    else
        refuse(client, "too many calls at a time");
}

void ControlServer::watch_time(Client& client, bool began_anew) {
    const bool waiting = (!client.in.empty() && !client.held) || client.closing;
    if (began_anew || !waiting)
        client.deadline.reset();
    if (!waiting || client.deadline)
        return;
    if (Result<EventLoop::Watch> timer =
            loop_.timer(message_time_, [this, id = client.id] { late(id); }, EventLoop::Priority::kClients))
        client.deadline = *std::move(timer);
}

// It has not finished its message. While it is queued that is not its fault: what it has sent was not read.
void ControlServer::late(std::uint64_t id) {
    Client* client = find(id);
    if (client == nullptr)
        return;
    if (!client->queued || client->closing)
        return forget(id);
    client->deadline.reset();
    watch_time(*client, true);
}

// It has taken nothing of its output, unless it does so now: while it is queued nobody has tried.
void ControlServer::late_reader(std::uint64_t id) {
    const Work work(*this);
    Client* client = find(id);
    if (client != nullptr && !flush(*client))
        forget(id);
}

void ControlServer::watch_reader(Client& client, bool took_some) {
    if (took_some || client.out.empty())
        client.reading.reset();
    if (client.out.empty() || client.reading)
        return;
    if (Result<EventLoop::Watch> timer =
            loop_.timer(message_time_, [this, id = client.id] { late_reader(id); }, EventLoop::Priority::kClients))
        client.reading = *std::move(timer);
}

void ControlServer::handle(Client& client, std::string_view text) {
    std::expected<Call, BadCall> call = parse_call(text);
    if (!call)
        return send(client, format_error(call.error().id, call.error().code, call.error().message));
    const bool own = call->method == "version" || call->method == "subscribe" || call->method == "events";
    if (own && !call->params.empty())
        return answer(client, call->id, fail(ErrorKind::kUsage, fmt::format("{} has no parameters", call->method)));
    if (call->method == "version")
        return answer(client, call->id, json{{"protocol", kProtocolVersion}, {"version", SCXHOST_VERSION}});
    if (call->method == "subscribe") {
        client.subscribed = true;
        return answer(client, call->id, json{{"subscribed", true}});
    }
    if (call->method == "events")
        return answer(client, call->id, recent_events(client.peer));
    forward(client, *std::move(call));
}

void ControlServer::forward(Client& client, Call call) {
    if (!service_.knows(call.method)) {
        if (!call.id.is_null())
            send(client, format_error(call.id, RpcError::kMethodNotFound,
                                      fmt::format("there is no method \"{}\"", call.method.substr(0, 64))));
        return;
    }
    ++client.unanswered;
    service_.call(call.method, call.params, client.peer,
                  [self = std::weak_ptr<ControlServer*>(self_), client_id = client.id,
                   call_id = call.id](const Result<json>& result) {
                      if (const std::shared_ptr<ControlServer*> server = self.lock(); server && *server != nullptr)
                          (*server)->answered(client_id, call_id, result);
                  });
}

void ControlServer::answered(std::uint64_t client_id, const json& call_id, const Result<json>& result) {
    const auto caller = clients_.find(client_id);
    if (caller == clients_.end())
        return;
    const Work work(*this);
    --caller->second->unanswered;
    answer(*caller->second, call_id, result);
    (void)flush(*caller->second);
}

void ControlServer::answer(Client& client, const json& call_id, const Result<json>& result) {
    if (call_id.is_null())
        return;
    std::string text = result ? format_result(call_id, *result) : format_error(call_id, result.error());
    if (text.size() > kMaxAnswerBytes)
        text = format_error(
            call_id, Error{.kind = result ? ErrorKind::kInternal : result.error().kind,
                           .what = result ? "the answer is too long to send" : result.error().what.substr(0, kLongText),
                           .hint = "the host's log has it in full"});
    send(client, text);
}

// The client has done what it may not: it is told, and cut off.
void ControlServer::refuse(Client& client, std::string_view message) {
    send(client, format_error(nullptr, RpcError::kInvalidRequest, message));
    client.closing = true;
    client.subscribed = false;
}

void ControlServer::send(Client& client, std::string_view text) {
    if (client.closing)
        return;
    if (client.out.size() + text.size() > kMaxUnsentBytes) {
        // It does not read: cut off at the next turn of the loop, not under the caller's feet.
        client.closing = true;
        client.subscribed = false;
        client.out.clear();
        return;
    }
    client.out += text;
}

// False when nothing could be sent although something waits.
bool ControlServer::flush(Client& client) {
    std::size_t sent = 0;
    bool refused = false; // for good: it has stopped reading, or is gone
    while (sent < client.out.size() && !refused) {
        const ssize_t done =
            ::send(client.fd.get(), client.out.data() + sent, client.out.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done >= 0)
            sent += static_cast<std::size_t>(done);
        else if (errno == EAGAIN)
            break;
        else
            refused = errno != EINTR;
    }
    client.out.erase(0, sent);
    if (refused) {
        client.out.clear();
        client.closing = true;
        client.subscribed = false;
    }
    const bool nothing_to_come = client.ended && client.unanswered == 0 && !client.subscribed;
    if (client.out.empty() && (client.closing || nothing_to_come))
        ::shutdown(client.fd.get(), SHUT_RDWR); // the loop then sees its end
    (void)client.watch.set({.readable = !client.ended && !client.held, .writable = !client.out.empty()});
    watch_reader(client, sent > 0);
    return sent > 0 || client.out.empty();
}

void ControlServer::publish(const json& event) {
    json kept = event;
    std::string text = format_event(event);
    if (text.size() > kRecentBytes) {
        kept = shortened(event);
        text = format_event(kept);
    }
    recent_bytes_ += text.size();
    recent_.push_back({kept, text.size()});
    while (recent_.size() > kRecentEvents || recent_bytes_ > kRecentBytes) {
        recent_bytes_ -= recent_.front().bytes;
        recent_.pop_front();
    }
    const Work work(*this);
    std::string for_lookers; // made when somebody needs it
    for (const auto& [id, client] : clients_) {
        if (!client->subscribed || !service_.shows(event, client->peer))
            continue;
        if (!client->peer.may_change && for_lookers.empty())
            for_lookers = format_event(without_private(kept));
        send(*client, client->peer.may_change ? text : for_lookers);
        (void)flush(*client);
    }
}

json ControlServer::recent_events(const Peer& caller) const {
    json events = json::array();
    for (const Recent& recent : recent_)
        if (service_.shows(recent.event, caller))
            events.push_back(caller.may_change ? recent.event : without_private(recent.event));
    return {{"events", std::move(events)}};
}

} // namespace scxhost
