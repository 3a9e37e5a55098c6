// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/statistics_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

namespace scxhost {
namespace {

std::unexpected<Error> failed(int error) {
    return fail_errno(ErrorKind::kIo, "cannot talk to the program's statistics socket", error);
}

} // namespace

Result<std::optional<std::vector<ScxStat>>> StatisticsSocket::ask(std::chrono::nanoseconds patience) {
    Result<std::optional<std::vector<ScxStat>>> answer = ask_until(std::chrono::steady_clock::now() + patience);
    if (!answer)
        connection_.reset(); // what else is on its way would be taken for the next answer
    return answer;
}

Result<std::optional<std::vector<ScxStat>>> StatisticsSocket::ask_until(Deadline deadline) {
    if (!connection_) {
        if (!SCXHOST_TRY(connect()))
            return std::nullopt;
        const std::string described = SCXHOST_TRY(exchange(kScxStatsMetaQuestion, deadline));
        // Numbers are worth having without their descriptions.
        meta_ = ScxStatsMeta::parse(described).value_or(ScxStatsMeta());
    }
    const std::string answer = SCXHOST_TRY(exchange(kScxStatsQuestion, deadline));
    return SCXHOST_TRY(parse_scx_stats(answer, meta_));
}

Result<bool> StatisticsSocket::connect() {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const UniqueFd socket(static_cast<int>(::syscall(SYS_openat2, root_.get(), path_.c_str(), &how, sizeof how)));
    if (!socket) {
        if (errno == ENOENT || errno == ENOTDIR)
            return false;
        return failed(errno);
    }
    UniqueFd connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!connection)
        return failed(errno);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    fmt::format_to_n(address.sun_path, sizeof address.sun_path - 1, "/proc/self/fd/{}", socket.get());
    if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == ECONNREFUSED) // no socket, or one that was left behind
            return false;
        return failed(errno);
    }
    connection_ = std::move(connection);
    return true;
}

// An answer is one line, and nothing comes that was not asked for.
Result<std::string> StatisticsSocket::exchange(std::string_view question, Deadline deadline) const {
    while (!question.empty()) {
        const ssize_t sent = ::send(connection_.get(), question.data(), question.size(), MSG_NOSIGNAL);
        if (sent >= 0)
            question.remove_prefix(static_cast<std::size_t>(sent));
        else if (errno == EAGAIN)
            SCXHOST_TRY(wait_for(POLLOUT, deadline));
        else if (errno != EINTR)
            return failed(errno);
    }
    std::string answer;
    std::array<char, 16384> part{};
    for (;;) {
        SCXHOST_TRY(wait_for(POLLIN, deadline));
        const ssize_t got = ::recv(connection_.get(), part.data(), part.size(), 0);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return failed(errno);
        if (got == 0)
            return fail(ErrorKind::kIo, "the program's statistics socket was closed in place of an answer");
        const std::string_view text(part.data(), static_cast<std::size_t>(got));
        const std::size_t end = text.find('\n');
        answer += text.substr(0, end);
        if (answer.size() > kMaxAnswer)
            return fail(ErrorKind::kIo,
                        fmt::format("what the program's statistics socket answers has more than {} bytes", kMaxAnswer));
        if (end == std::string_view::npos)
            continue;
        if (end + 1 != text.size())
            return fail(ErrorKind::kIo, "the program's statistics socket says more than it was asked");
        return answer;
    }
}

Result<> StatisticsSocket::wait_for(short events, Deadline deadline) const {
    for (;;) {
        const auto left = deadline - std::chrono::steady_clock::now();
        const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        if (milliseconds <= 0)
            return fail(ErrorKind::kIo, "the program's statistics socket does not answer in time");
        pollfd source{connection_.get(), events, 0};
        const int ready = ::poll(&source, 1, static_cast<int>(std::min<std::int64_t>(milliseconds, 60000)));
        if (ready > 0)
            return {};
        if (ready < 0 && errno != EINTR)
            return failed(errno);
    }
}

} // namespace scxhost
