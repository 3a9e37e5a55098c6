// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/control.hpp"

#include "host/base/json_fields.hpp"
#include "host/cli/terminal.hpp"

#include <CLI/CLI.hpp>

#include <cmath>
#include <filesystem>

namespace scxhost {
namespace {

// The host answers between two turns of its loop; the longest of them is a swap window.
constexpr auto kAnswerTime = std::chrono::seconds(10);

} // namespace

void add_socket(CLI::App& command, std::string& socket) {
    command.add_option("--socket", socket, "The host's control socket (default: that of a default configuration)")
        ->type_name("PATH");
}

void add_control(CLI::App& command, ControlArguments& arguments) {
    add_socket(command, arguments.socket);
    command.add_flag("--json", arguments.json, "JSON in place of text");
}

Result<ControlClient> connect_to_host(const ControlArguments& arguments) {
    return ControlClient::connect(arguments.socket.empty() ? Config::Control{}.socket
                                                           : std::filesystem::path(arguments.socket));
}

Result<nlohmann::json> ask_host(const ControlArguments& arguments, const std::string& method, nlohmann::json params) {
    ControlClient client = SCXHOST_TRY(connect_to_host(arguments));
    return client.call(method, std::move(params), ControlClient::Clock::now() + kAnswerTime);
}

std::string absolute_path(const std::string& path) {
    std::error_code error;
    const std::filesystem::path result = std::filesystem::absolute(path, error);
    return error ? path : result.lexically_normal().string();
}

std::string what_for_host(const std::string& what) {
    return what.find_first_of("/.") == std::string::npos ? what : absolute_path(what);
}

std::string text_in(const nlohmann::json& object, const char* key) {
    return printable(json_text(object, key));
}

double number_in(const nlohmann::json& object, const char* key) {
    const nlohmann::json& found = json_member(object, key);
    return found.is_number() ? found.get<double>() : 0.0;
}

std::int64_t integer_in(const nlohmann::json& object, const char* key) {
    return json_integer(object, key);
}

std::chrono::nanoseconds duration_in(const nlohmann::json& object, const char* key, std::chrono::nanoseconds unit) {
    const double nanoseconds = number_in(object, key) * static_cast<double>(unit.count());
    constexpr double kMost = 9.2e18; // also false for what is no number
    return std::chrono::nanoseconds(std::abs(nanoseconds) < kMost ? static_cast<std::int64_t>(nanoseconds) : 0);
}

const nlohmann::json& member(const nlohmann::json& object, const char* key) {
    return json_member(object, key);
}

} // namespace scxhost
