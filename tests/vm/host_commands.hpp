// SPDX-License-Identifier: GPL-2.0-only
//
// The commands that talk to a running host, and what tests in a guest expect of their answers.
#pragma once

#include "tests/vm/children.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_process.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scxhost {

// Only a kernel build that lacks what qmap needs excuses it.
inline bool has_qmap() {
    HostProcess check({"check", "qmap"});
    const int status = check.wait();
    if (status != 0) {
        EXPECT_EQ(status, 3) << check.out() << check.err();
        EXPECT_THAT(check.out() + check.err(), testing::HasSubstr("malformed in this kernel's BTF"));
    }
    return status == 0;
}

// The lines of a page that begin with `prompt`, without it: the commands that it shows.
inline std::vector<std::string> commands_of(const std::string& page, std::string_view prompt) {
    std::ifstream file(page);
    std::vector<std::string> commands;
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(prompt))
            commands.push_back(line.substr(prompt.size()));
    EXPECT_FALSE(commands.empty()) << page;
    return commands;
}

// A swap that fails, and what it is to say.
struct FailingSwap {
    const char* description;
    std::vector<std::string> arguments; // of swap
    int status;                         // of swap
    const char* outcome;                // in the report; empty: there is none
    const char* message;                // in the report's error
};

inline std::size_t open_descriptors(pid_t pid) {
    std::error_code error;
    std::filesystem::directory_iterator entries(fmt::format("/proc/{}/fd", pid), error);
    return static_cast<std::size_t>(std::distance(begin(entries), std::filesystem::directory_iterator()));
}

struct Answer {
    int status = -1;
    nlohmann::json report;
    std::string err;
};

// `scxhost swap ARGUMENTS…`
inline Answer swap(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"swap", "--json"}); // a program's arguments stay the last
    HostProcess command(arguments);
    Answer answer;
    answer.status = command.wait();
    answer.report = nlohmann::json::parse(command.out(), nullptr, false);
    if (answer.report.is_discarded()) // a command that failed before it had an answer
        answer.report = nlohmann::json::object();
    answer.err = command.err();
    return answer;
}

inline nlohmann::json status() {
    HostProcess command({"status", "--json"});
    EXPECT_EQ(command.wait(), 0) << command.err();
    return nlohmann::json::parse(command.out(), nullptr, false);
}

// A statistic of the running host, by its name. null: it has none of this name.
inline nlohmann::json find_statistic(const std::string& name) {
    HostProcess command({"stats", "--json"});
    EXPECT_EQ(command.wait(), 0) << command.err();
    const nlohmann::json document = nlohmann::json::parse(command.out(), nullptr, false);
    for (const nlohmann::json& entry : document.value("statistics", nlohmann::json::array()))
        if (entry.at("name") == name)
            return entry;
    return nullptr;
}

inline std::int64_t statistic(const std::string& name) {
    const nlohmann::json found = find_statistic(name);
    EXPECT_FALSE(found.is_null()) << "no statistic " << name;
    return found.is_null() ? -1 : found.at("value").get<std::int64_t>();
}

// Takes the second CPU away, and brings it back at the end.
class CpuAway {
public:
    CpuAway() { write_text(kOnline, "0"); }
    ~CpuAway() { write_text(kOnline, "1"); }

private:
    static constexpr const char* kOnline = "/sys/devices/system/cpu/cpu1/online";
};

// The host and the kernel agree on this scheduler.
inline void expect_runs(const std::string& name) {
    const nlohmann::json now = status();
    EXPECT_THAT(now.at("scheduler").value("title", ""), testing::StartsWith(name)) << now;
    EXPECT_TRUE(now.at("agrees").get<bool>()) << now;
    const SchedExtStatus kernel = kernel_status();
    EXPECT_EQ(kernel.state, SchedExtState::kEnabled);
    EXPECT_THAT(kernel.ops.value_or(""), testing::StartsWith(name));
}

inline void end(HostProcess& host) {
    host.signal(SIGTERM);
    EXPECT_EQ(host.wait(), 0) << host.err();
}

} // namespace scxhost
