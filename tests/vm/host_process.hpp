// SPDX-License-Identifier: GPL-2.0-only
//
// The installed scxhost as a user runs it: a child process, its output, its events, its exit status.
#pragma once

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

class HostProcess {
public:
    // Starts `scxhost ARGUMENTS…`, found through PATH; in the child, right before that, `prepare`.
    explicit HostProcess(const std::vector<std::string>& arguments, const std::function<void()>& prepare = {});
    HostProcess(const HostProcess&) = delete;
    HostProcess& operator=(const HostProcess&) = delete;
    ~HostProcess(); // SIGKILL, if it still runs

    // Reads output until `condition` holds for all that has come; false at the end of the output or the deadline.
    bool wait_for_output(const std::function<bool(const std::string& out)>& condition);
    // The first JSON line with this "event"; nullopt when the output ended before it came.
    std::optional<nlohmann::json> wait_for_event(const std::string& name);

    // The next such line after the one that was returned last; what is in between is passed over.
    std::optional<nlohmann::json> next_event(const std::string& name);

    void signal(int number) const;
    // Reads the rest and waits for the end. The exit status, or 128 + the signal's number.
    int wait();

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] std::size_t open_descriptors() const; // as long as it runs
    [[nodiscard]] const std::string& out() const { return out_; }
    [[nodiscard]] const std::string& err() const { return err_; }

private:
    bool read_some(std::chrono::steady_clock::time_point deadline);
    // From `at` on, which is then behind it; where there is none, behind the last whole line.
    [[nodiscard]] std::optional<nlohmann::json> find_event(const std::string& name, std::size_t& at) const;

    pid_t pid_ = -1;
    int out_fd_ = -1;
    int err_fd_ = -1;
    std::string out_;
    std::string err_;
    std::size_t seen_ = 0; // of out_, by next_event
};

} // namespace scxhost
