// SPDX-License-Identifier: GPL-2.0-only
//
// The program itself between a client of HTTP and a control socket, started as a service manager starts it.
#include "host/control/server.hpp"
#include "host/exporter/http_server.hpp"
#include "tests/exporter/tcp_client.hpp"
#include "tests/support/loop_script.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr int kFirstSocket = 3; // sd_listen_fds(3)

// A host with nothing but metrics.
class Metrics : public ControlService {
    [[nodiscard]] bool knows(const std::string& method) const override { return method == "metrics"; }
    void call(const std::string&, const json&, const Peer&, Reply reply) override {
        reply(json{{"uptime_seconds", 7}});
    }
    [[nodiscard]] bool shows(const json&, const Peer&) const override { return false; }
    void gone(std::uint64_t) override {}
};

class ExporterTest : public testing::Test {
protected:
    ExporterTest() { config_.control.socket = dir_.path() / "run" / "control.sock"; }
    ~ExporterTest() override {
        if (pid_ > 0)
            ::kill(pid_, SIGKILL);
        (void)wait();
    }

    void start_host() { host_ = ControlServer::open(script_.loop(), config_, service_).value(); }

    // With a socket that is open already.
    void start_exporter(std::vector<std::string> arguments = {}) {
        const UniqueFd socket = listen_at("127.0.0.1:0").value();
        const std::string address = address_of(socket.get());
        port_ = std::stoi(address.substr(address.find(':') + 1));
        start(std::move(arguments), socket.get());
    }
    void start(std::vector<std::string> arguments, int socket = -1) {
        arguments.insert(arguments.begin(),
                         {std::string(kProgramDir) + "/scxhost-exporter", "--socket", config_.control.socket.string()});
        std::vector<char*> argv;
        for (std::string& argument : arguments)
            argv.push_back(argument.data());
        argv.push_back(nullptr);
        pid_ = ::fork();
        if (pid_ != 0)
            return;
        const int log = ::open((dir_.path() / "log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ::dup2(log, STDERR_FILENO);
        if (socket >= 0) {
            ::fcntl(socket, F_SETFL, 0); // as systemd gives it
            if (socket == kFirstSocket)
                ::fcntl(socket, F_SETFD, 0);
            else
                ::dup2(socket, kFirstSocket);
            ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
            ::setenv("LISTEN_FDS", "1", 1);
        }
        ::execv(argv.front(), argv.data());
        std::_Exit(127);
    }
    // Its exit status.
    int wait() {
        int status = 0;
        if (pid_ > 0)
            ::waitpid(std::exchange(pid_, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    [[nodiscard]] std::string log() const {
        std::ifstream file(dir_.path() / "log");
        return {std::istreambuf_iterator<char>(file), {}};
    }
    TempDir dir_;
    Config config_;
    LoopScript script_;
    Metrics service_;
    std::unique_ptr<ControlServer> host_;
    pid_t pid_ = -1;
    int port_ = 0;
};

TEST_F(ExporterTest, TellsWhatTheHostTells) {
    start_host();
    start_exporter();
    script_.run([&] {
        const std::string text = get_metrics(port_);
        EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK\r\n"));
        EXPECT_THAT(text, HasSubstr("\nscxhost_uptime_seconds 7\n"));
        EXPECT_THAT(get_metrics(port_, "Accept: application/openmetrics-text; version=1.0.0\r\n"),
                    HasSubstr("\n# EOF\n"));
    });
    ::kill(pid_, SIGTERM);
    EXPECT_EQ(wait(), 0);
    EXPECT_THAT(log(), HasSubstr(fmt::format("serves http://127.0.0.1:{}/metrics", port_)));
}

// It goes on, and finds the host that comes.
TEST_F(ExporterTest, TheHostMayComeLater) {
    start_exporter();
    EXPECT_THAT(get_metrics(port_), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("\r\n\r\nno host is running at " +
                                                                                 config_.control.socket.string())));
    EXPECT_THAT(log(), HasSubstr("no host is running at"));
    start_host();
    script_.run([&] {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        std::string there = get_metrics(port_);
        while (there.starts_with("HTTP/1.1 503 ") && std::chrono::steady_clock::now() < deadline)
            there = get_metrics(port_);
        EXPECT_THAT(there, StartsWith("HTTP/1.1 200 "));
    });
}

TEST_F(ExporterTest, EndsWhenNobodyAsks) {
    start_exporter({"--idle", "50ms"});
    EXPECT_EQ(wait(), 0);
}

TEST_F(ExporterTest, WhatIsWrongIsSaid) {
    const auto said = [&](const std::vector<std::string>& arguments, int socket = -1) {
        start(arguments, socket);
        EXPECT_EQ(wait(), 2);
        return log();
    };
    EXPECT_THAT(said({"--listen", "localhost:80"}), HasSubstr("\"localhost:80\" is no address to listen at"));
    EXPECT_THAT(said({"--idle", "soon"}), HasSubstr("--idle: "));
    EXPECT_THAT(said({"--lisen", "x"}), HasSubstr("did you mean \"--listen\"?"));
    const UniqueFd given = listen_at("127.0.0.1:0").value();
    EXPECT_THAT(said({"--listen", "127.0.0.1:0"}, given.get()), HasSubstr("ListenStream="));
    const UniqueFd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_THAT(said({}, other.get()), HasSubstr("does not listen on TCP"));
}

} // namespace
} // namespace scxhost
