// SPDX-License-Identifier: GPL-2.0-only
#include "tests/vm/children.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace scxhost {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(60);

} // namespace

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
