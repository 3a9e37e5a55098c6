// SPDX-License-Identifier: GPL-2.0-only
#include "tests/vm/children.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(60);
constexpr const char* kCgroups = "/sys/fs/cgroup";

} // namespace

CpuCgroups::CpuCgroups(std::string prefix)
    : prefix_(std::move(prefix)) {
    write_text(std::string(kCgroups) + "/cgroup.subtree_control", "+cpu");
}

void CpuCgroups::remove_all() {
    for (; !names_.empty(); names_.erase(names_.begin()))
        remove_cgroup(path(names_.front()));
}

void CpuCgroups::make(const std::string& name, int weight) {
    if (const std::size_t slash = name.rfind('/'); slash != std::string::npos)
        write_text(path(name.substr(0, slash)) + "/cgroup.subtree_control", "+cpu");
    if (::mkdir(path(name).c_str(), 0755) != 0)
        throw std::runtime_error("cannot make the cgroup " + path(name));
    names_.insert(names_.begin(), name); // what is below another one goes first
    set_weight(name, weight);
}

void CpuCgroups::set_weight(const std::string& name, int weight) const {
    write_text(path(name) + "/cpu.weight", std::to_string(weight));
}

void CpuCgroups::put(pid_t pid, const std::string& name) const {
    write_text(path(name) + "/cgroup.procs", std::to_string(pid));
}

std::string CpuCgroups::path(const std::string& name) const {
    return std::string(kCgroups) + "/" + prefix_ + "-" + name;
}

std::uint64_t count_tasks() {
    namespace fs = std::filesystem;
    std::uint64_t count = 0;
    for (const fs::directory_entry& process : fs::directory_iterator("/proc")) {
        if (process.path().filename().string().find_first_not_of("0123456789") != std::string::npos)
            continue;
        std::error_code gone;
        for (fs::directory_iterator task(process.path() / "task", gone); !gone && task != fs::directory_iterator();
             task.increment(gone))
            ++count;
    }
    return count;
}

// The 39th field of proc_pid_stat(5), of which the second may hold blanks.
int cpu_of(pid_t pid) {
    std::istringstream fields(read_text("/proc/" + std::to_string(pid) + "/stat"));
    fields.ignore(1 << 12, ')');
    std::string field;
    for (int number = 3; number <= 39; ++number)
        fields >> field;
    return std::stoi(field);
}

std::uint64_t from_environment(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::optional<bool> scheduled_by_ext(pid_t pid) {
    std::istringstream lines(read_text("/proc/" + std::to_string(pid) + "/sched"));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("ext.enabled"))
            return line.find_last_not_of(" \n") != std::string::npos && line.back() == '1';
    return std::nullopt;
}

std::string read_text(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void fill_cpus(Children& crowd, long more) {
    for (long i = 0; i < ::sysconf(_SC_NPROCESSORS_ONLN) + more; ++i)
        crowd.spinner();
}

void remove_cgroup(const std::string& path) {
    if (!wait_until([&] { return ::rmdir(path.c_str()) == 0 || errno == ENOENT; }))
        throw std::runtime_error("cannot remove the cgroup " + path);
}

void write_text(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text << std::flush;
    if (!file)
        throw std::runtime_error("cannot write '" + text + "' to " + path);
}

std::uint64_t run_time(const std::vector<pid_t>& pids) {
    return std::accumulate(pids.begin(), pids.end(), std::uint64_t{0}, [](std::uint64_t sum, pid_t pid) {
        return sum + std::stoull(read_text("/proc/" + std::to_string(pid) + "/schedstat"));
    });
}

void tell(const std::vector<pid_t>& pids, int signal) {
    for (const pid_t pid : pids)
        if (::kill(pid, signal) != 0)
            throw std::runtime_error("cannot signal process " + std::to_string(pid));
    for (const pid_t pid : pids)
        if (signal == SIGSTOP && !wait_until([pid] {
                return read_text("/proc/" + std::to_string(pid) + "/status").find("State:\tT") != std::string::npos;
            }))
            throw std::runtime_error("process " + std::to_string(pid) + " does not stop");
}

bool wait_until(const std::function<bool()>& condition) {
    const auto deadline = Clock::now() + kPatience;
    while (!condition()) {
        if (Clock::now() > deadline)
            return condition();
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
}

} // namespace scxhost
