// SPDX-License-Identifier: GPL-2.0-only
//
// What the commands share that talk to a running host.
#pragma once

#include "host/base/result.hpp"
#include "host/cli/command.hpp"
#include "host/control/client.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace scxhost {

struct ControlArguments {
    std::string socket; // empty: the default
    bool json = false;
};

// --socket.
void add_socket(CLI::App& command, std::string& socket);
// And --json.
void add_control(CLI::App& command, ControlArguments& arguments);

[[nodiscard]] Result<ControlClient> connect_to_host(const ControlArguments& arguments);

// Connects, calls, waits a few seconds for the answer.
[[nodiscard]] Result<nlohmann::json> ask_host(const ControlArguments& arguments, const std::string& method,
                                              nlohmann::json params = nlohmann::json::object());

// The host's folder is not ours: paths are made absolute.
[[nodiscard]] std::string absolute_path(const std::string& path);
// The parameter `what` of a swap: a plugin's name, or a file's path.
[[nodiscard]] std::string what_for_host(const std::string& what);

// Answers may come from another version of the host: what is missing or of another type reads as empty.
[[nodiscard]] std::string text_in(const nlohmann::json& object, const char* key);
[[nodiscard]] double number_in(const nlohmann::json& object, const char* key);
[[nodiscard]] std::int64_t integer_in(const nlohmann::json& object, const char* key);
// A number of `unit`s; what no duration can hold reads as 0.
[[nodiscard]] std::chrono::nanoseconds duration_in(const nlohmann::json& object, const char* key,
                                                   std::chrono::nanoseconds unit);
[[nodiscard]] const nlohmann::json& member(const nlohmann::json& object, const char* key);

} // namespace scxhost
