// SPDX-License-Identifier: GPL-2.0-only
#include "host/exporter/http_server.hpp"

#include "host/base/suggest.hpp"
#include "host/base/units.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <utility>

namespace scxhost {
namespace {

// As the control socket does.
constexpr auto kAcceptPause = std::chrono::seconds(1);

union Address {
    sockaddr_in6 six; // the largest: what initializes it initializes all
    sockaddr_in four;
    sockaddr any;
};

Result<Address> parse_address(const std::string& text) {
    const auto wrong = [&text] {
        return fail(ErrorKind::kUsage, quote_text(text) + " is no address to listen at",
                    "write it as 127.0.0.1:PORT, or [::1]:PORT");
    };
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos)
        return wrong();
    const auto port = parse_integer(text.substr(colon + 1), 0, std::numeric_limits<in_port_t>::max());
    std::string host = text.substr(0, colon);
    const bool brackets = host.starts_with('[') && host.ends_with(']');
    if (brackets)
        host = host.substr(1, host.size() - 2);
    Address address{};
    if (!port || host.find('\0') != std::string::npos)
        return wrong();
    if (!brackets && ::inet_pton(AF_INET, host.c_str(), &address.four.sin_addr) == 1) {
        address.four.sin_family = AF_INET;
        address.four.sin_port = htons(static_cast<in_port_t>(*port));
    } else if (brackets && ::inet_pton(AF_INET6, host.c_str(), &address.six.sin6_addr) == 1) {
        address.six.sin6_family = AF_INET6;
        address.six.sin6_port = htons(static_cast<in_port_t>(*port));
    } else {
        return wrong();
    }
    return address;
}

Address local_address(int fd) {
    Address address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, &address.any, &size) != 0)
        address.any.sa_family = AF_UNSPEC;
    return address;
}

bool is_loopback(const Address& address) {
    const auto is_127 = [](const unsigned char* bytes) { return bytes[0] == 127; };
    if (address.any.sa_family == AF_INET)
        return is_127(reinterpret_cast<const unsigned char*>(&address.four.sin_addr));
    if (address.any.sa_family != AF_INET6)
        return false;
    const in6_addr& six = address.six.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && is_127(&six.s6_addr[12]));
}

// Where the empty line ends that a request's headers end with; npos: it has not come yet.
std::size_t end_of_headers(std::string_view text) {
    for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', end + 1)) {
        const std::string_view next = text.substr(end + 1, 2);
        if (next.starts_with('\n'))
            return end + 2;
        if (next == "\r\n")
            return end + 3;
    }
    return std::string_view::npos;
}

} // namespace

Result<UniqueFd> listen_at(const std::string& text) {
    const Address address = SCXHOST_TRY(parse_address(text));
    const int one = 1;
    UniqueFd fd(::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return fail_errno(ErrorKind::kIo, "cannot make a socket", errno);
    // Connections that are over keep a port for a while.
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    // [::] is every address of both families, whatever the machine's default is (net.ipv6.bindv6only).
    const int both = 0;
    if (address.any.sa_family == AF_INET6 && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof both) != 0)
        return fail_errno(ErrorKind::kIo, "cannot listen at " + text, errno);
    const socklen_t size = address.any.sa_family == AF_INET ? sizeof address.four : sizeof address.six;
    if (::bind(fd.get(), &address.any, size) == 0 && ::listen(fd.get(), SOMAXCONN) == 0)
        return fd;
    const int error = errno;
    if (error == EADDRINUSE)
        return fail_errno(ErrorKind::kBusy, "cannot listen at " + text, error, "choose another port: --listen");
    return fail_errno(error == EACCES ? ErrorKind::kPermission : ErrorKind::kIo, "cannot listen at " + text, error,
                      error == EACCES ? "ports below 1024 are root's: choose another one" : "");
}

std::string address_of(int fd) {
    const Address address = local_address(fd);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.any.sa_family == AF_INET) {
        ::inet_ntop(AF_INET, &address.four.sin_addr, text.data(), text.size());
        return fmt::format("{}:{}", text.data(), ntohs(address.four.sin_port));
    }
    ::inet_ntop(AF_INET6, &address.six.sin6_addr, text.data(), text.size());
    return fmt::format("[{}]:{}", text.data(), ntohs(address.six.sin6_port));
}

struct HttpServer::Connection {
    std::uint64_t id = 0;
    UniqueFd fd;
    std::string in;
    std::string out;
    bool asked = false; // its request has come; what it sends more is passed over
    bool ended = false; // it sends nothing more
    EventLoop::Watch watch;
    EventLoop::Watch deadline;
};

HttpServer::HttpServer(EventLoop& loop, Handlers handlers, Limits limits)
    : loop_(loop)
    , handlers_(std::move(handlers))
    , limits_(limits) {}

HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(EventLoop& loop, std::vector<UniqueFd> sockets, Handlers handlers,
                                                      Limits limits) {
    std::unique_ptr<HttpServer> server(new HttpServer(loop, std::move(handlers), limits));
    for (UniqueFd& socket : sockets) {
        // A client may be gone before it is accepted.
        if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0)
            return fail_errno(ErrorKind::kIo, "cannot use the listening socket", errno);
        EventLoop::Watch watch =
            SCXHOST_TRY(loop.watch(socket.get(), {}, [raw = server.get(), fd = socket.get()] { raw->accept(fd); }));
        server->listeners_.push_back({std::move(socket), std::move(watch)});
    }
    return server;
}

void HttpServer::accept(int listener) {
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
        const bool is_full = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
        // What it lacks may be others' to give back. Until then who waits would wake the loop without end.
        if (is_full && !make_room())
            pause_accepting();
        return;
    }
    if (connections_.size() >= limits_.connections)
        make_room();
    auto connection = std::make_unique<Connection>();
    const std::uint64_t id = connection->id = ++last_id_;
    connection->fd = std::move(fd);
    Result<EventLoop::Watch> watch = loop_.watch(connection->fd.get(), {}, [this, id] { ready(id); });
    Result<EventLoop::Watch> deadline = loop_.timer(limits_.time, [this, id] { forget(id); });
    if (!watch || !deadline)
        return;
    connection->watch = *std::move(watch);
    connection->deadline = *std::move(deadline);
    connections_.push_back(std::move(connection));
    handlers_.came();
}

// Who has asked is better than who has not.
bool HttpServer::make_room() {
    if (connections_.empty())
        return false;
    const auto silent = std::ranges::find_if(connections_, [](const auto& one) { return !one->asked; });
    connections_.erase(silent == connections_.end() ? connections_.begin() : silent);
    return true;
}

void HttpServer::pause_accepting() {
    Result<EventLoop::Watch> timer = loop_.timer(kAcceptPause, [this] { go_on_accepting(); });
    if (!timer)
        return;
    pause_ = *std::move(timer);
    for (Listener& listener : listeners_)
        (void)listener.watch.set({.readable = false, .writable = false});
}

void HttpServer::go_on_accepting() {
    pause_.reset();
    for (Listener& listener : listeners_)
        (void)listener.watch.set({});
}

void HttpServer::forget(std::uint64_t id) {
    std::erase_if(connections_, [id](const auto& one) { return one->id == id; });
}

// Something came, or there is room for output, or nobody is there any more.
void HttpServer::ready(std::uint64_t id) {
    const auto found = std::ranges::find(connections_, id, &Connection::id);
    if (found == connections_.end())
        return;
    Connection& connection = **found;
    receive(connection);
    if (!connection.asked)
        take_request(connection);
    if (connection.asked)
        flush(connection);
    if (connection.ended && connection.out.empty())
        forget(id);
}

void HttpServer::receive(Connection& connection) {
    std::array<char, 4096> buffer;
    const ssize_t got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
    if (got > 0 && !connection.asked)
        connection.in.append(buffer.data(), static_cast<std::size_t>(got));
    const bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
    if (got <= 0 && !later)
        connection.ended = true;
    if (got < 0 && !later)
        connection.out.clear(); // nobody takes it
}

void HttpServer::take_request(Connection& connection) {
    const std::size_t end = end_of_headers(connection.in);
    if (std::min(end, connection.in.size()) > limits_.request_bytes)
        connection.out = handlers_.too_long;
    else if (end != std::string::npos)
        connection.out = handlers_.respond(std::string_view(connection.in).substr(0, end),
                                           is_loopback(local_address(connection.fd.get())));
    else
        return;
    connection.asked = true;
    connection.in.clear();
}

void HttpServer::flush(Connection& connection) {
    while (!connection.out.empty()) {
        const ssize_t sent = ::send(connection.fd.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0)
            connection.ended = true;
        connection.out.erase(0, sent < 0 ? connection.out.size() : static_cast<std::size_t>(sent));
    }
    // A close while something is there that nobody has read resets the connection, which may cost the client its
    // answer: it closes first.
    if (connection.out.empty())
        (void)::shutdown(connection.fd.get(), SHUT_WR);
    (void)connection.watch.set({.readable = !connection.ended, .writable = !connection.out.empty()});
}

} // namespace scxhost
