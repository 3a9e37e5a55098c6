// SPDX-License-Identifier: GPL-2.0-only
#include "tests/vm/host_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace scxhost {
namespace {

// Far beyond what any step takes, also on a slow emulated machine: only a hang gets here.
constexpr auto kPatience = std::chrono::seconds(180);

} // namespace

HostProcess::HostProcess(const std::vector<std::string>& arguments, const std::function<void()>& prepare) {
    int out[2];
    int err[2];
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
        throw std::runtime_error("pipe2 failed");
    std::vector<char*> argv;
    argv.push_back(const_cast<char*>("scxhost"));
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
        ::dup2(out[1], STDOUT_FILENO);
        ::dup2(err[1], STDERR_FILENO);
        if (prepare)
            prepare();
        ::execvp("scxhost", argv.data());
        std::_Exit(127);
    }
    ::close(out[1]);
    ::close(err[1]);
    out_fd_ = out[0];
    err_fd_ = err[0];
}

HostProcess::~HostProcess() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    for (const int fd : {out_fd_, err_fd_})
        if (fd >= 0)
            ::close(fd);
}

// False when nothing more can come: both ends are closed, or the deadline has passed.
bool HostProcess::read_some(std::chrono::steady_clock::time_point deadline) {
    if (out_fd_ < 0 && err_fd_ < 0)
        return false;
    pollfd fds[] = {{.fd = out_fd_, .events = POLLIN, .revents = 0}, {.fd = err_fd_, .events = POLLIN, .revents = 0}};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || ::poll(fds, 2, static_cast<int>(left.count())) <= 0)
        return false;
    for (int i = 0; i < 2; ++i) {
        if (fds[i].revents == 0)
            continue;
        char buffer[65536];
        const ssize_t got = ::read(fds[i].fd, buffer, sizeof buffer);
        if (got > 0) {
            (i == 0 ? out_ : err_).append(buffer, static_cast<std::size_t>(got));
        } else {
            int& fd = i == 0 ? out_fd_ : err_fd_;
            ::close(fd);
            fd = -1; // poll ignores it
        }
    }
    return true;
}

bool HostProcess::wait_for_output(const std::function<bool(const std::string&)>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition(out_))
        if (!read_some(deadline))
            return condition(out_);
    return true;
}

std::optional<nlohmann::json> HostProcess::find_event(const std::string& name, std::size_t& at) const {
    const std::string word = '"' + name + '"';
    for (std::size_t end = 0; (end = out_.find('\n', at)) != std::string::npos;) {
        const std::string_view line(out_.data() + at, end - at);
        at = end + 1;
        if (line.find(word) == line.npos) // most are statistics, and long
            continue;
        nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
        if (event.is_object() && event.value("event", "") == name)
            return event;
    }
    return std::nullopt;
}

std::optional<nlohmann::json> HostProcess::wait_for_event(const std::string& name) {
    std::optional<nlohmann::json> found;
    std::size_t at = 0;
    wait_for_output([&](const std::string&) {
        found = find_event(name, at);
        return found.has_value();
    });
    return found;
}

std::optional<nlohmann::json> HostProcess::next_event(const std::string& name) {
    std::optional<nlohmann::json> found;
    std::size_t at = seen_;
    wait_for_output([&](const std::string&) {
        found = find_event(name, at);
        return found.has_value();
    });
    if (found)
        seen_ = at;
    return found;
}

void HostProcess::signal(int number) const {
    ::kill(pid_, number);
}

int HostProcess::wait() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (read_some(deadline)) {
    }
    int status = 0;
    if (::waitpid(pid_, &status, std::chrono::steady_clock::now() < deadline ? 0 : WNOHANG) != pid_)
        return -1; // it hangs; the destructor ends it
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::size_t HostProcess::open_descriptors() const {
    std::error_code error;
    std::filesystem::directory_iterator entries(fmt::format("/proc/{}/fd", pid_), error);
    return static_cast<std::size_t>(std::distance(begin(entries), std::filesystem::directory_iterator()));
}

} // namespace scxhost
