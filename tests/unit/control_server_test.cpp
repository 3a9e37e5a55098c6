// SPDX-License-Identifier: GPL-2.0-only
//
// Real sockets in a folder of the test's own; the clients are on the script's thread and do as they like.
#include "host/control/server.hpp"
#include "tests/support/loop_script.hpp"
#include "tests/support/other_user.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uid_t kStranger = 65534;

UniqueFd unix_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

template <typename Call>
int with_address(const fs::path& path, const Call& call) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return call(reinterpret_cast<const sockaddr*>(&address), socklen_t{sizeof address});
}

// The other end of the socket: sends any bytes, and reads only when it is told to.
class RawClient {
public:
    RawClient()
        : fd_(unix_socket()) {}
    explicit RawClient(const fs::path& path)
        : RawClient() {
        connect(path);
    }
    void connect(const fs::path& path) const {
        EXPECT_EQ(with_address(path, [&](auto* to, auto size) { return ::connect(fd_.get(), to, size); }), 0)
            << std::strerror(errno);
    }

    // False: the server has hung up, or takes nothing more for the moment.
    bool send(std::string_view text, int flags = 0) const {
        while (!text.empty()) {
            const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | flags);
            if (sent <= 0)
                return false;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    // The next message; nothing at the end.
    std::optional<json> read() {
        std::size_t end = in_.find('\n');
        for (; end == std::string::npos; end = in_.find('\n'))
            if (!receive())
                return std::nullopt;
        json message = json::parse(in_.substr(0, end));
        in_.erase(0, end + 1);
        return message;
    }

    json ask(const std::string& method, const json& params = json::object()) {
        send(format_call({.id = 1, .method = method, .params = params}));
        return read().value_or(json("the server has hung up"));
    }

    // What comes until the server hangs up.
    std::size_t bytes_until_end() {
        while (receive())
            ;
        return in_.size();
    }

    void stop_sending() const { ::shutdown(fd_.get(), SHUT_WR); }
    void stop_reading() const { ::shutdown(fd_.get(), SHUT_RD); }
    // Whether the server hangs up although nothing is read.
    [[nodiscard]] bool is_cut_off() const {
        pollfd polled{.fd = fd_.get(), .events = 0, .revents = 0};
        return ::poll(&polled, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
    }

private:
    bool receive() {
        pollfd polled{.fd = fd_.get(), .events = POLLIN, .revents = 0};
        const auto patience = std::chrono::milliseconds(kPatience).count();
        if (::poll(&polled, 1, static_cast<int>(patience)) != 1) {
            ADD_FAILURE() << "the server neither answers nor hangs up";
            return false;
        }
        std::array<char, 65536> buffer;
        const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        in_.append(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
        return got > 0;
    }

    UniqueFd fd_;
    std::string in_;
};

void use_cpu(std::chrono::milliseconds time) {
    const auto used = [] {
        timespec now{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    };
    for (const auto end = used() + time; used() < end;)
        ;
}

// "echo" answers at once, "later" when the test says so, "big" with much, "burn" after so much CPU time, "whoami" with
// what the server says of the caller; "change" is not for everybody.
class FakeService : public ControlService {
public:
    [[nodiscard]] bool knows(const std::string& method) const override {
        return method == "echo" || method == "later" || method == "big" || method == "change" || method == "noise" ||
               method == "burn" || method == "whoami";
    }
    [[nodiscard]] bool shows(const json& event, const Peer& caller) const override {
        return caller.may_change || event.value("event", "") != "secret";
    }
    void gone(std::uint64_t connection) override { left.push_back(connection); }
    void call(const std::string& method, const json& params, const Peer& caller, Reply reply) override {
        if (method == "change" && !caller.may_change)
            return reply(fail(ErrorKind::kPermission, "may not change"));
        calls.push_back(method);
        if (method == "later")
            return waiting.push_back(std::move(reply));
        if (method == "whoami")
            return reply(json{{"may_change", caller.may_change}, {"is_reader", caller.is_reader}});
        if (method == "burn")
            use_cpu(std::chrono::milliseconds(params.at("ms")));
        if (method == "noise")
            for (int i = 0; i < params.at("events"); ++i)
                server->publish({{"event", "noise"}, {"text", std::string(params.at("bytes"), 'n')}});
        if (method == "big")
            return reply(json(std::string(params.at("bytes"), 'b')));
        if (params.contains("fail"))
            return reply(fail(ErrorKind::kBusy, "not now", "later"));
        reply(params);
    }

    std::vector<std::string> calls;
    std::vector<std::uint64_t> left; // connections
    std::vector<Reply> waiting;
    ControlServer* server = nullptr;
};

class ControlServerTest : public testing::Test {
protected:
    ControlServerTest() { config_.control.socket = path_; }

    Result<std::unique_ptr<ControlServer>> open(std::chrono::nanoseconds message_time = kPatience) {
        return ControlServer::open(script_.loop(), config_, service_, users_, message_time);
    }
    void start(std::chrono::nanoseconds message_time = kPatience) {
        server_ = open(message_time).value();
        service_.server = server_.get();
    }
    // Where some get in by an access list. Skips where the file system keeps none.
    void start_with_list() {
        EXPECT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
        Result<std::unique_ptr<ControlServer>> opened = open();
        if (!opened && opened.error().kind == ErrorKind::kUnsupported)
            GTEST_SKIP() << opened.error().what;
        server_ = std::move(opened).value();
        service_.server = server_.get();
    }
    void publish(const json& event) {
        script_.on_loop([&] { server_->publish(event); });
    }
    bool waiting(std::size_t calls) {
        return script_.wait_until([&] { return service_.waiting.size() == calls; });
    }
    // A client that is served shows that the loop turns and the server is well.
    void expect_service() {
        RawClient client(path_);
        EXPECT_EQ(client.ask("echo", {{"a", 1}})["result"], json({{"a", 1}}));
    }
    // For others than root to get in.
    void let_in_everybody() {
        EXPECT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
        EXPECT_EQ(::chmod(path_.c_str(), 0666), 0);
    }

    TempDir dir_;
    fs::path path_ = dir_.path() / "run" / "control.sock";
    Config config_;
    std::vector<uid_t> users_; // that the socket lets in, beside root and the group
    LoopScript script_;
    FakeService service_;
    std::unique_ptr<ControlServer> server_;
};

std::string call(int id, const std::string& method, const json& params = json::object()) {
    return format_call({.id = id, .method = method, .params = params});
}

TEST_F(ControlServerTest, TheSocketIsForItsOwnerOnly) {
    const mode_t umask_before = ::umask(0077);
    start();
    ::umask(umask_before);
    struct stat status{};
    ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
    EXPECT_EQ(status.st_uid, ::geteuid());
    ASSERT_EQ(::lstat(path_.parent_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0755U) << "whatever the umask";
    server_.reset();
    EXPECT_FALSE(fs::exists(path_));
}

TEST_F(ControlServerTest, CallsAndAnswers) {
    start();
    script_.run([&] {
        RawClient client(path_);
        EXPECT_EQ(client.ask("version")["result"]["protocol"], kProtocolVersion);
        EXPECT_EQ(client.ask("echo", {{"x", {1, 2}}}),
                  json({{"jsonrpc", "2.0"}, {"id", 1}, {"result", {{"x", {1, 2}}}}}));
        const json refused = client.ask("echo", {{"fail", true}});
        EXPECT_EQ(refused["error"]["code"], static_cast<int>(RpcError::kFailed));
        EXPECT_EQ(refused["error"]["data"]["kind"], "busy");
        EXPECT_EQ(refused["error"]["data"]["hint"], "later");
        for (const char* method : {"version", "subscribe", "events"})
            EXPECT_EQ(client.ask(method, {{"later", 1}})["error"]["data"]["kind"], "usage") << method;
        EXPECT_EQ(client.ask("reboot")["error"]["code"], static_cast<int>(RpcError::kMethodNotFound));
        EXPECT_EQ(client.ask("change")["result"], json::object()) << "the host's own user may";
    });
}

TEST_F(ControlServerTest, TheServiceHearsOfAClientThatLeaves) {
    start();
    script_.run([&] {
        RawClient stays(path_);
        stays.ask("version");
        {
            RawClient leaves(path_);
            leaves.ask("version");
        }
        EXPECT_TRUE(script_.wait_until([&] { return !service_.left.empty(); }));
        EXPECT_TRUE(stays.ask("version").contains("result"));
        script_.on_loop([&] {
            EXPECT_EQ(service_.left, std::vector<std::uint64_t>{2}) << "the second connection, and only that";
            server_.reset();
            EXPECT_EQ(service_.left.size(), 1U) << "the server's end is nobody's leaving";
        });
    });
}

TEST_F(ControlServerTest, GarbageGetsAnErrorAndTheNextCallAnAnswer) {
    start();
    script_.run([&] {
        RawClient client(path_);
        const std::string deep(60'000, '[');
        for (const std::string& garbage : {std::string("GET / HTTP/1.1\r\n"), std::string("\xff\xfe\0\n", 4),
                                           deep + "\n", std::string("{\"jsonrpc\":\"2.0\"\n"), std::string("[]\n")}) {
            client.send(garbage);
            const std::optional<json> answer = client.read();
            ASSERT_TRUE(answer);
            EXPECT_TRUE(answer->contains("error")) << *answer;
        }
        client.send("\n\n\n");
        EXPECT_TRUE(client.ask("version").contains("result"));
    });
    EXPECT_THAT(service_.calls, IsEmpty());
}

TEST_F(ControlServerTest, AMessageMayComeInPieces) {
    start();
    script_.run([&] {
        RawClient client(path_);
        for (const char c : call(1, "echo", {{"n", 1}}) + call(2, "echo", {{"n", 2}})) {
            client.send({&c, 1});
            script_.on_loop([] {});
        }
        EXPECT_EQ(client.read().value()["result"]["n"], 1);
        EXPECT_EQ(client.read().value()["result"]["n"], 2);
    });
}

TEST_F(ControlServerTest, AMessageHasALimit) {
    start();
    const auto with_length = [](std::size_t bytes) {
        const std::size_t frame = call(1, "echo", {{"t", ""}}).size();
        return call(1, "echo", {{"t", std::string(bytes - frame, 't')}});
    };
    script_.run([&] {
        RawClient client(path_);
        client.send(with_length(kMaxRequestBytes));
        EXPECT_TRUE(client.read().value().contains("result")) << "as long as may be";

        client.send(with_length(kMaxRequestBytes + 1));
        const json error = client.read().value();
        EXPECT_EQ(error["error"]["code"], static_cast<int>(RpcError::kInvalidRequest));
        EXPECT_THAT(error["error"]["message"], HasSubstr("65536"));
        EXPECT_FALSE(client.read()) << "and it is cut off";

        RawClient endless(path_);
        while (endless.send(std::string(4096, 'x')))
            ;
        EXPECT_THAT(endless.read().value()["error"]["message"], HasSubstr("65536"));
        EXPECT_FALSE(endless.read());
        expect_service();
    });
    EXPECT_EQ(service_.calls.size(), 2U);
}

TEST_F(ControlServerTest, AFloodOfCallsWaits) {
    start();
    script_.run([&] {
        RawClient client(path_);
        constexpr std::size_t kFlood = 300; // few enough to be received at once
        std::string flood;
        for (std::size_t i = 0; i < kFlood; ++i)
            flood += call(static_cast<int>(i), "echo");
        client.send(flood);
        EXPECT_EQ(client.read().value()["id"], 0);
        script_.on_loop([&] { EXPECT_LT(service_.calls.size(), kFlood); });
        expect_service();
        for (int i = 1; i < 2 * ControlServer::kCallsAtOnce; ++i)
            EXPECT_EQ(client.read().value()["id"], i) << "they come, and in order";

        RawClient empty(path_);
        empty.send(std::string(10'000, '\n'));
        expect_service();
    });
    EXPECT_LT(service_.calls.size(), 300U) << "who is gone is not served any more";
}

// To come again does not evade the limit: there is one for coming, and everybody's turn comes.
TEST_F(ControlServerTest, ManyWhoComeAndGo) {
    start();
    script_.run([&] {
        for (int i = 0; i < 2 * ControlServer::kClientsAtOnce; ++i)
            expect_service();
    });
}

TEST_F(ControlServerTest, AMessageThatIsBegunHasToEnd) {
    start(std::chrono::milliseconds(20));
    script_.run([&] {
        RawClient client(path_);
        client.send("{\"jsonrpc\":");
        EXPECT_FALSE(client.read());
        RawClient idle(path_);
        RawClient again(path_);
        again.send("{");
        EXPECT_FALSE(again.read());
        EXPECT_TRUE(idle.ask("version").contains("result")) << "to say nothing is no offence";
    });
}

// Cut off, told so, and it neither reads nor goes: its place is free again all the same.
TEST_F(ControlServerTest, WhoIsCutOffCannotStay) {
    start(std::chrono::milliseconds(20));
    script_.run([&] {
        std::vector<std::unique_ptr<RawClient>> clients;
        for (std::size_t i = 0; i < ControlServer::kMaxClients; ++i) {
            clients.push_back(std::make_unique<RawClient>(path_));
            clients.back()->send(call(1, "big", {{"bytes", 600'000}}) + call(2, "big", {{"bytes", 600'000}}) +
                                 std::string(kMaxRequestBytes, 'x'));
        }
        for (;;) {
            RawClient next(path_);
            const json answer = next.ask("version");
            if (answer.is_object() && answer.contains("result"))
                break;
        }
    });
}

TEST_F(ControlServerTest, WhoDoesNotReadIsCutOff) {
    start();
    script_.run([&] {
        RawClient lazy(path_);
        // It asks for more and more, one call at a time, until it is cut off.
        while (lazy.send(call(1, "big", {{"bytes", 500'000}}), MSG_DONTWAIT) || errno == EAGAIN)
            expect_service();
        EXPECT_LT(lazy.bytes_until_end(), ControlServer::kMaxUnsentBytes);
        expect_service();
    });
}

// Its answers can never be sent: the loop would be woken for them without end.
TEST_F(ControlServerTest, WhoStopsReadingAndThenAsksIsCutOff) {
    start();
    script_.run([&] {
        RawClient deaf(path_);
        EXPECT_TRUE(deaf.ask("version").contains("result"));
        deaf.stop_reading();
        deaf.send(call(2, "echo"));
        EXPECT_TRUE(deaf.is_cut_off());
        expect_service();
    });
}

TEST_F(ControlServerTest, OutputThatNobodyTakesHasADeadline) {
    start(std::chrono::milliseconds(20));
    script_.run([&] {
        RawClient lazy(path_);
        lazy.send(call(1, "big", {{"bytes", 900'000}})); // far less than may wait
        EXPECT_TRUE(lazy.is_cut_off());
        expect_service();
    });
}

// However fast they ask: what the loop does for them is a share of its time. On a machine that is busy more time
// passes, and more would be allowed.
TEST_F(ControlServerTest, ClientsHaveABudgetOfCpuTime) {
    start();
    constexpr std::chrono::milliseconds kCall{40};
    constexpr int kCalls = 12; // fewer than one client may make at once
    script_.run([&] {
        const auto begin = std::chrono::steady_clock::now();
        std::array<RawClient, 2> greedy{RawClient(path_), RawClient(path_)};
        for (int i = 0; i < kCalls; ++i)
            greedy.at(static_cast<std::size_t>(i) % 2).send(call(i, "burn", {{"ms", kCall.count()}}));
        for (int i = 0; i < kCalls; ++i)
            EXPECT_EQ(greedy.at(static_cast<std::size_t>(i) % 2).read().value()["id"], i) << "all are answered";
        const auto passed = std::chrono::steady_clock::now() - begin;
        const auto allowed = ControlServer::kCpuTimeAtOnce + passed * ControlServer::kCpuTimePerSecond.count() / 1000;
        EXPECT_LE(kCall * (kCalls - 1), allowed) << "the last one may be paid for afterwards";
    });
}

TEST_F(ControlServerTest, RootIsServedBeforeTheOthersWhoWait) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    start();
    let_in_everybody();
    std::vector<std::unique_ptr<RawClient>> strangers;
    script_.run([&] {
        as_other_user(kStranger, kStranger, {}, [&] {
            for (int i = 0; i < 4; ++i) {
                strangers.push_back(std::make_unique<RawClient>(path_));
                EXPECT_TRUE(strangers.back()->ask("version").contains("result"));
            }
        });
        RawClient root(path_);
        EXPECT_TRUE(root.ask("version").contains("result"));
        // All of it is there when the first call has used up more than the budget.
        script_.on_loop([&] {
            for (const auto& stranger : strangers)
                for (int i = 0; i < 3; ++i)
                    stranger->send(call(i, "burn", {{"ms", 150}}));
            root.send(call(1, "echo"));
        });
        EXPECT_TRUE(root.read().value().contains("result"));
        script_.on_loop([&] { EXPECT_LE(service_.calls.size(), 6U) << "of twelve and its own"; });
    });
}

TEST_F(ControlServerTest, ASubscriberWhoDoesNotReadIsCutOff) {
    start();
    const std::size_t events = 12;
    const std::size_t bytes = 500'000;
    script_.run([&] {
        RawClient lazy(path_);
        RawClient diligent(path_);
        lazy.ask("subscribe");
        diligent.ask("subscribe");
        for (std::size_t i = 0; i < events; ++i) {
            publish({{"event", "noise"}, {"number", i}, {"text", std::string(bytes, 'n')}});
            EXPECT_EQ(diligent.read().value()["params"]["number"], i);
        }
        EXPECT_LT(lazy.bytes_until_end(), events * bytes);
        expect_service();
    });
}

// The events that fill its buffer come while its own call is carried out.
TEST_F(ControlServerTest, AClientIsCutOffInsideItsOwnCall) {
    start();
    script_.run([&] {
        RawClient client(path_);
        RawClient other(path_);
        client.ask("subscribe");
        other.ask("subscribe");
        client.send(call(2, "noise", {{"events", 20}, {"bytes", 500'000}}) + call(3, "echo"));
        ASSERT_TRUE(script_.wait_until([&] { return !service_.calls.empty(); })); // nobody reads meanwhile
        EXPECT_LT(client.bytes_until_end(), 20 * 500'000U);
        EXPECT_LT(other.bytes_until_end(), 20 * 500'000U);
        EXPECT_THAT(service_.calls, testing::ElementsAre("noise")) << "what it sent after that is not carried out";
        expect_service();
    });
}

TEST_F(ControlServerTest, TooManyClients) {
    start();
    script_.run([&] {
        std::vector<std::unique_ptr<RawClient>> clients;
        for (std::size_t i = 0; i < ControlServer::kMaxClients; ++i) {
            clients.push_back(std::make_unique<RawClient>(path_));
            ASSERT_TRUE(clients.back()->ask("version").contains("result"));
        }
        RawClient refused(path_);
        const json error = refused.read().value();
        EXPECT_EQ(error["error"]["data"]["kind"], "busy");
        EXPECT_FALSE(refused.read());
        EXPECT_TRUE(clients.front()->ask("version").contains("result")) << "the others stay";
        clients.pop_back();
        for (;;) { // until the server has noticed
            RawClient next(path_);
            const json answer = next.ask("version");
            if (answer.is_object() && answer.contains("result"))
                break;
        }
    });
}

TEST_F(ControlServerTest, RootAlwaysGetsIn) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    start();
    let_in_everybody();
    std::vector<std::unique_ptr<RawClient>> clients;
    script_.run([&] {
        as_other_user(kStranger, kStranger, {}, [&] {
            for (std::size_t i = 0; i < ControlServer::kMaxClients - ControlServer::kRootClients; ++i) {
                clients.push_back(std::make_unique<RawClient>(path_));
                ASSERT_TRUE(clients.back()->ask("version").contains("result"));
            }
            RawClient refused(path_);
            EXPECT_EQ(refused.read().value()["error"]["data"]["kind"], "busy");
        });
        expect_service();
    });
}

TEST_F(ControlServerTest, WhoMayLookMayNotChange) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    start();
    let_in_everybody();
    script_.run([&] {
        as_other_user(kStranger, kStranger, {}, [&] {
            RawClient client(path_);
            EXPECT_TRUE(client.ask("echo").contains("result"));
            EXPECT_EQ(client.ask("change")["error"]["data"]["kind"], "permission");
            client.send(R"({"jsonrpc":"2.0","method":"change"})"
                        "\n"); // nobody hears that it was refused
            EXPECT_TRUE(client.ask("echo").contains("result"));
        });
    });
    EXPECT_THAT(service_.calls, testing::Not(testing::Contains("change")));
}

TEST_F(ControlServerTest, TheGroupMayChange) {
    const group* some = ::getgrgid(1);
    if (::geteuid() != 0 || some == nullptr)
        GTEST_SKIP() << "needs root, and a group that is not root's";
    config_.control.group = some->gr_name;
    start();
    EXPECT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    struct stat status{};
    ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_gid, 1U);
    EXPECT_EQ(status.st_mode & 07777U, 0660U);
    std::vector<gid_t> many;
    for (gid_t gid = 1000; gid < 1200; ++gid)
        many.push_back(gid);
    many.push_back(1);
    script_.run([&] {
        const std::vector<std::pair<gid_t, std::vector<gid_t>>> members = {
            {1, {}}, {kStranger, {1}}, {kStranger, many}};
        for (const auto& [gid, groups] : members)
            as_other_user(kStranger, gid, groups, [&] {
                RawClient client(path_);
                EXPECT_TRUE(client.ask("change").contains("result"));
            });
        as_other_user(kStranger, kStranger, {}, [&] {
            const UniqueFd fd = unix_socket();
            EXPECT_EQ(with_address(path_, [&](auto* to, auto size) { return ::connect(fd.get(), to, size); }), -1);
            EXPECT_EQ(errno, EACCES);
        });
    });
}

// Many a service that is not root any more is still in root's group.
TEST_F(ControlServerTest, RootsGroupIsNoGroup) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    const auto expect_root_only = [&](mode_t mode) {
        struct stat status{};
        ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777U, mode);
        as_other_user(kStranger, 0, {}, [&] {
            const UniqueFd fd = unix_socket();
            EXPECT_EQ(with_address(path_, [&](auto* to, auto size) { return ::connect(fd.get(), to, size); }), -1);
            EXPECT_EQ(errno, EACCES);
        });
    };
    script_.run([&] {
        for (const char* name : {"", "root"}) {
            config_.control.group = name;
            config_.control.readers = name;
            script_.on_loop([&] { start(); });
            expect_root_only(0600);
            let_in_everybody();
            as_other_user(kStranger, 0, {}, [&] {
                RawClient client(path_);
                EXPECT_EQ(client.ask("whoami")["result"], json({{"may_change", false}, {"is_reader", false}}));
            });
            script_.on_loop([&] { server_.reset(); });
        }
        // Where an access list lets others in, its mask is what the mode shows for the group.
        users_ = {1003};
        Result<> opened;
        script_.on_loop([&] {
            if (auto server = open())
                server_ = *std::move(server);
            else
                opened = fail(server.error());
        });
        if (opened)
            expect_root_only(0660);
        else
            EXPECT_EQ(opened.error().kind, ErrorKind::kUnsupported) << opened.error().what;
    });
}

// By an access list; the mode stays, and nobody else gets in.
TEST_F(ControlServerTest, UsersOnTheListGetIn) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    constexpr uid_t kUser = 1007;
    users_ = {kUser, 1003, kUser};
    start_with_list();
    if (IsSkipped())
        return;
    struct stat status{};
    ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0660U);
    script_.run([&] {
        publish({{"event", "secret"}});
        publish({{"event", "noise"}});
        for (const uid_t user : {kUser, uid_t{1003}})
            as_other_user(user, kStranger, {}, [&] {
                RawClient client(path_);
                EXPECT_TRUE(client.ask("echo").contains("result"));
                EXPECT_EQ(client.ask("change")["error"]["data"]["kind"], "permission");
                const json events = client.ask("events")["result"]["events"];
                ASSERT_FALSE(events.empty());
                for (const json& event : events)
                    EXPECT_EQ(event["event"], "noise");
                client.ask("subscribe");
                publish({{"event", "secret"}});
                publish({{"event", "noise"}});
                EXPECT_EQ(client.read().value()["params"]["event"], "noise");
            });
        as_other_user(kStranger, kStranger, {}, [&] {
            const UniqueFd fd = unix_socket();
            EXPECT_EQ(with_address(path_, [&](auto* to, auto size) { return ::connect(fd.get(), to, size); }), -1);
            EXPECT_EQ(errno, EACCES);
        });
    });
}

// The dump names the threads of all users, for instance.
TEST_F(ControlServerTest, WhoMayOnlyLookIsNotToldEverything) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    start();
    let_in_everybody();
    const json event = {{"event", "noise"}, {"exit", {{"kind", "ERROR_BPF"}, {"dump", "all threads"}}}, {"n", 1}};
    const json open = {{"event", "noise"}, {"exit", {{"kind", "ERROR_BPF"}}}, {"n", 1}};
    script_.run([&] {
        publish(event);
        const auto expect_to_see = [&](const json& expected) {
            RawClient client(path_);
            EXPECT_EQ(client.ask("events")["result"]["events"], json::array({expected}));
            client.ask("subscribe");
            script_.on_loop([&] { server_->publish(event); });
            EXPECT_EQ(client.read().value()["params"], expected);
        };
        as_other_user(kStranger, kStranger, {}, [&] { expect_to_see(open); });
        RawClient root(path_);
        EXPECT_EQ(root.ask("events")["result"]["events"], json::array({event, event}));
        root.ask("subscribe");
        publish(event);
        EXPECT_EQ(root.read().value()["params"], event);
    });
}

// By the same list, whichever of their groups it is; and they are told apart from those who only have got in.
TEST_F(ControlServerTest, ReadersGetInAndChangeNothing) {
    const group* readers = ::getgrgid(2);
    if (::geteuid() != 0 || readers == nullptr)
        GTEST_SKIP() << "needs root, and a group that is not root's";
    config_.control.readers = readers->gr_name;
    users_ = {1003};
    start_with_list();
    if (IsSkipped())
        return;
    struct stat status{};
    ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0660U);
    EXPECT_EQ(status.st_gid, 0U) << "their group is not the socket's";
    const auto connects = [&] {
        const UniqueFd fd = unix_socket();
        return with_address(path_, [&](auto* to, auto size) { return ::connect(fd.get(), to, size); }) == 0;
    };
    script_.run([&] {
        const std::vector<std::pair<gid_t, std::vector<gid_t>>> members = {{2, {}}, {kStranger, {2}}};
        for (const auto& [gid, groups] : members)
            as_other_user(kStranger, gid, groups, [&] {
                RawClient client(path_);
                EXPECT_EQ(client.ask("whoami")["result"], json({{"may_change", false}, {"is_reader", true}}));
                EXPECT_EQ(client.ask("change")["error"]["data"]["kind"], "permission");
            });
        as_other_user(1003, kStranger, {}, [&] {
            RawClient client(path_);
            EXPECT_EQ(client.ask("whoami")["result"], json({{"may_change", false}, {"is_reader", false}}));
        });
        as_other_user(kStranger, kStranger, {}, [&] { EXPECT_FALSE(connects()); });
        // They leave places to those who may more.
        std::vector<std::unique_ptr<RawClient>> clients;
        as_other_user(kStranger, 2, {}, [&] {
            for (std::size_t i = 0; i < ControlServer::kClientsOfReader; ++i) {
                clients.push_back(std::make_unique<RawClient>(path_));
                ASSERT_TRUE(clients.back()->ask("version").contains("result")) << i;
            }
            RawClient refused(path_);
            EXPECT_EQ(refused.read().value()["error"]["data"]["kind"], "busy");
        });
        clients.clear();
        // And those of delegates are not theirs.
        as_other_user(1003, kStranger, {}, [&] {
            for (std::size_t i = 0; i < ControlServer::kClientsOfDelegate; ++i) {
                clients.push_back(std::make_unique<RawClient>(path_));
                ASSERT_TRUE(clients.back()->ask("version").contains("result")) << i;
            }
        });
        for (uid_t user = 2000; user < 2000 + ControlServer::kClientsOfReaders; ++user)
            as_other_user(user, 2, {}, [&] {
                clients.push_back(std::make_unique<RawClient>(path_));
                ASSERT_TRUE(clients.back()->ask("version").contains("result")) << user;
            });
        as_other_user(1999, 2, {}, [&] {
            RawClient refused(path_);
            EXPECT_EQ(refused.read().value()["error"]["data"]["kind"], "busy") << "all have their places";
        });
    });
}

// Neither one of them nor all together keep others out.
TEST_F(ControlServerTest, UsersOnTheListFillTheirPlacesOnly) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    users_ = {1001, 1002, 1003};
    start();
    let_in_everybody();
    std::vector<std::unique_ptr<RawClient>> clients;
    const auto expect_places = [&](uid_t user, std::size_t places) {
        as_other_user(user, kStranger, {}, [&] {
            for (std::size_t i = 0; i < places; ++i) {
                clients.push_back(std::make_unique<RawClient>(path_));
                ASSERT_TRUE(clients.back()->ask("version").contains("result")) << user << " " << i;
            }
            RawClient refused(path_);
            EXPECT_EQ(refused.read().value()["error"]["data"]["kind"], "busy") << user;
        });
    };
    script_.run([&] {
        expect_places(1001, ControlServer::kClientsOfDelegate);
        expect_places(1002, ControlServer::kClientsOfDelegates - ControlServer::kClientsOfDelegate);
        expect_places(1003, 0);
        as_other_user(kStranger, kStranger, {}, [&] {
            RawClient other(path_);
            EXPECT_TRUE(other.ask("version").contains("result"));
        });
        clients.clear();
    });
}

TEST_F(ControlServerTest, ANotificationIsCarriedOutWithoutAnAnswer) {
    start();
    script_.run([&] {
        RawClient client(path_);
        for (const char* method : {"echo", "version", "reboot", "later"})
            client.send(fmt::format("{{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}\n", method));
        client.send(R"({"jsonrpc":"2.0","method":"echo","params":{"fail":true}})"
                    "\n");
        ASSERT_TRUE(waiting(1));
        script_.on_loop([&] { service_.waiting.front()(json("late")); });
        EXPECT_EQ(client.ask("echo", {{"n", 5}})["result"]["n"], 5) << "the first thing that comes back";
    });
    EXPECT_THAT(service_.calls, testing::ElementsAre("echo", "later", "echo", "echo"));
}

TEST_F(ControlServerTest, AnswersComeInAnyOrder) {
    start();
    script_.run([&] {
        RawClient client(path_);
        client.send(call(1, "later") + call(2, "later") + call(3, "echo"));
        EXPECT_EQ(client.read().value()["id"], 3);
        ASSERT_TRUE(waiting(2));
        script_.on_loop([&] {
            service_.waiting[1](json("second"));
            service_.waiting[0](fail(ErrorKind::kIo, "first"));
        });
        EXPECT_EQ(client.read().value()["result"], "second");
        EXPECT_EQ(client.read().value()["error"]["message"], "first");
    });
}

TEST_F(ControlServerTest, AnAnswerAfterTheClientLeft) {
    start();
    script_.run([&] {
        {
            RawClient client(path_);
            client.send(call(1, "later") + "{\"jsonrpc\":");
            ASSERT_TRUE(waiting(1));
        }
        {
            RawClient next(path_); // has the other one's descriptor, but not its answers
            EXPECT_TRUE(next.ask("version").contains("result"));
            script_.on_loop([&] { service_.waiting.front()(json("late")); });
            EXPECT_EQ(next.ask("echo")["result"], json::object());
        }
        RawClient gone(path_);
        gone.send(call(2, "later"));
        ASSERT_TRUE(waiting(2));
    });
}

TEST_F(ControlServerTest, AnAnswerAfterTheServersEnd) {
    start();
    script_.run([&] {
        RawClient client(path_);
        client.send(call(1, "later"));
        ASSERT_TRUE(waiting(1));
        script_.on_loop([&] {
            server_.reset();
            service_.waiting.front()(json("late"));
        });
        EXPECT_FALSE(client.read());
    });
}

// printf … | nc: the end of what it sends is not the end of what it wants to read.
TEST_F(ControlServerTest, WhoHasSentAllStillGetsItsAnswers) {
    start();
    script_.run([&] {
        RawClient client(path_);
        client.send(call(1, "later") + call(2, "big", {{"bytes", 900'000}}));
        client.stop_sending();
        ASSERT_TRUE(waiting(1));
        EXPECT_EQ(client.read().value()["result"].get<std::string>().size(), 900'000U);
        script_.on_loop([&] { service_.waiting.front()(json("late")); });
        EXPECT_EQ(client.read().value()["result"], "late");
        EXPECT_FALSE(client.read()) << "nothing more is to come";

        RawClient silent(path_);
        silent.stop_sending();
        EXPECT_FALSE(silent.read());

        RawClient listener(path_);
        listener.send(call(1, "subscribe"));
        listener.stop_sending();
        EXPECT_TRUE(listener.read().value().contains("result"));
        publish({{"event", "settled"}});
        EXPECT_EQ(listener.read().value()["params"]["event"], "settled");
    });
}

TEST_F(ControlServerTest, EventsGoToWhoAskedForThem) {
    start();
    script_.run([&] {
        RawClient subscriber(path_);
        RawClient other(path_);
        EXPECT_EQ(subscriber.ask("subscribe")["result"], json({{"subscribed", true}}));
        EXPECT_TRUE(other.ask("version").contains("result"));
        publish({{"event", "enabled"}, {"title", "qmap\xff"}});
        EXPECT_EQ(subscriber.read().value(), json({{"jsonrpc", "2.0"},
                                                   {"method", "event"},
                                                   {"params", {{"event", "enabled"}, {"title", "qmap\xef\xbf\xbd"}}}}));
        EXPECT_EQ(other.ask("events")["result"]["events"].size(), 1U) << "no event came before the answer";
        {
            RawClient gone(path_);
            gone.ask("subscribe");
        }
        publish({{"event", "left"}});
        EXPECT_EQ(subscriber.read().value()["params"]["event"], "left");
    });
}

TEST_F(ControlServerTest, TheLatestEventsAreKeptAsManyAsAnAnswerHolds) {
    start();
    script_.run([&] {
        RawClient client(path_);
        for (std::size_t i = 0; i < ControlServer::kRecentEvents + 5; ++i)
            publish({{"event", "e"}, {"number", i}});
        json events = client.ask("events")["result"]["events"];
        ASSERT_EQ(events.size(), ControlServer::kRecentEvents);
        EXPECT_EQ(events.front()["number"], 5);
        EXPECT_EQ(events.back()["number"], ControlServer::kRecentEvents + 4);

        for (std::size_t i = 0; i < 40; ++i) // JSON makes six bytes of each of these
            publish({{"event", "e"}, {"number", i}, {"dump", std::string(30'000, '\x01')}});
        events = client.ask("events")["result"]["events"];
        EXPECT_GT(events.size(), 1U);
        EXPECT_LT(events.dump().size(), kMaxAnswerBytes);
        EXPECT_EQ(events.back()["number"], 39);
    });
}

TEST_F(ControlServerTest, AnEventThatIsTooLongIsShortened) {
    start();
    script_.run([&] {
        RawClient client(path_);
        client.ask("subscribe");
        publish({{"event", "left"},
                 {"time", "now"},
                 {"exit", {{"reason", "stall"}, {"dump", std::string(2'000'000, 'd')}}}});
        const json event = client.read().value()["params"];
        EXPECT_EQ(event["exit"]["reason"], "stall");
        EXPECT_EQ(event["shortened"], true);
        publish({{"event", "left"}, {"time", "now"}, {"notes", std::vector<std::string>(300'000, "n")}});
        EXPECT_EQ(client.read().value()["params"], json({{"event", "left"}, {"time", "now"}, {"shortened", true}}));
        EXPECT_EQ(client.ask("events")["result"]["events"].size(), 2U);
    });
}

TEST_F(ControlServerTest, AnAnswerThatIsTooLongIsAnError) {
    start();
    script_.run([&] {
        RawClient client(path_);
        EXPECT_THAT(client.ask("big", {{"bytes", kMaxAnswerBytes}})["error"]["message"], HasSubstr("too long"));
        client.send(call(1, "later"));
        ASSERT_TRUE(waiting(1));
        script_.on_loop([&] {
            service_.waiting.front()(
                fail({.kind = ErrorKind::kVerifier, .what = "refused", .detail = std::string(2'000'000, 'v')}));
        });
        const json error = client.read().value()["error"];
        EXPECT_EQ(error["message"], "refused");
        EXPECT_EQ(error["data"]["kind"], "verifier");
    });
}

TEST_F(ControlServerTest, ASecondHostIsTurnedAway) {
    start();
    FakeService other_service;
    script_.run([&] {
        script_.on_loop([&] {
            const auto second = ControlServer::open(script_.loop(), config_, other_service);
            ASSERT_FALSE(second);
            EXPECT_EQ(second.error().kind, ErrorKind::kBusy);
            EXPECT_THAT(second.error().what, HasSubstr(fmt::format("process {}", ::getpid())));
            EXPECT_THAT(second.error().hint, HasSubstr("scxhost swap"));
        });
        expect_service();
    });
    EXPECT_TRUE(fs::exists(path_)) << "the loser removes nothing";
}

// Somebody listens who does not know of the lock; its queue may be full besides.
TEST_F(ControlServerTest, ALivingSocketIsNotTakenAway) {
    fs::create_directory(path_.parent_path());
    const UniqueFd listener = unix_socket();
    ASSERT_EQ(with_address(path_, [&](auto* at, auto size) { return ::bind(listener.get(), at, size); }), 0);
    ASSERT_EQ(::listen(listener.get(), 0), 0);
    const auto first = open();
    ASSERT_FALSE(first);
    EXPECT_EQ(first.error().kind, ErrorKind::kBusy);
    EXPECT_THAT(first.error().what, HasSubstr(fmt::format("process {}", ::getpid())));
    std::vector<UniqueFd> queue;
    for (int refused = 0; refused == 0;) {
        queue.push_back(UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)));
        refused = with_address(path_, [&](auto* to, auto size) { return ::connect(queue.back().get(), to, size); });
    }
    const auto again = open();
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind, ErrorKind::kBusy);
    EXPECT_TRUE(fs::exists(path_));
}

TEST_F(ControlServerTest, AStaleSocketIsReplaced) {
    fs::create_directory(path_.parent_path());
    {
        const UniqueFd dead = unix_socket();
        ASSERT_EQ(with_address(path_, [&](auto* at, auto size) { return ::bind(dead.get(), at, size); }), 0);
        ASSERT_EQ(::listen(dead.get(), 1), 0);
    }
    ASSERT_TRUE(fs::exists(path_));
    start();
    script_.run([&] { expect_service(); });
}

TEST_F(ControlServerTest, WhatIsNoSocketStays) {
    dir_.write("run/control.sock", "precious");
    const auto file = open();
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind, ErrorKind::kConfig);
    EXPECT_EQ(fs::file_size(path_), 8U);

    fs::remove(path_);
    fs::create_symlink(dir_.write("target", "precious"), path_);
    const auto link = open();
    ASSERT_FALSE(link);
    EXPECT_EQ(link.error().kind, ErrorKind::kConfig);
    EXPECT_TRUE(fs::exists(dir_.path() / "target"));

    fs::remove(path_);
    fs::create_directory(path_);
    ASSERT_FALSE(open());
    EXPECT_TRUE(fs::is_directory(path_));
}

TEST_F(ControlServerTest, ALinkInTheLocksPlaceIsNotFollowed) {
    dir_.write("run/x", "");
    fs::create_symlink(dir_.path() / "made-by-the-lock", path_.string() + ".lock");
    ASSERT_FALSE(open());
    EXPECT_FALSE(fs::exists(dir_.path() / "made-by-the-lock"));
}

TEST_F(ControlServerTest, NoSuchGroup) {
    for (const auto& [key, name] :
         {std::pair("control.group", &config_.control.group), std::pair("control.readers", &config_.control.readers)}) {
        SCOPED_TRACE(key);
        *name = "no-such-group-here";
        config_.places[key] = {.file = "a.toml", .line = 4, .column = 9};
        const auto opened = open();
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().kind, ErrorKind::kConfig);
        EXPECT_THAT(opened.error().what, HasSubstr("no-such-group-here"));
        EXPECT_THAT(opened.error().hint, HasSubstr(key));
        ASSERT_TRUE(opened.error().where);
        EXPECT_EQ(to_string(*opened.error().where), "a.toml:4:9");
        EXPECT_FALSE(fs::exists(path_.parent_path())) << "nothing was touched";
        name->clear();
    }
}

TEST_F(ControlServerTest, APathThatIsNone) {
    const fs::path folder = path_.parent_path();
    for (const fs::path& path : {folder / std::string(120, 'x'), folder / "", folder / std::string("a\0b", 3)}) {
        config_.control.socket = path;
        const auto opened = open();
        ASSERT_FALSE(opened) << path;
        EXPECT_EQ(opened.error().kind, ErrorKind::kConfig) << path;
    }
}

TEST_F(ControlServerTest, AFolderThatOthersCanWriteTo) {
    fs::create_directory(path_.parent_path());
    for (const mode_t mode : {0777U, 01777U, 0775U}) {
        ASSERT_EQ(::chmod(path_.parent_path().c_str(), mode), 0);
        const auto opened = open();
        ASSERT_FALSE(opened) << mode;
        EXPECT_EQ(opened.error().kind, ErrorKind::kPermission) << mode;
    }
}

TEST_F(ControlServerTest, WithoutDescriptorsClientsWait) {
    start();
    script_.run([&] {
        RawClient waiting(path_);
        script_.on_loop([] {});
        EXPECT_TRUE(waiting.ask("version").contains("result"));
        rlimit before{};
        ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
        const UniqueFd lowest_free = unix_socket();
        RawClient next;
        rlimit none = before;
        none.rlim_cur = static_cast<rlim_t>(lowest_free.get());
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
        next.connect(path_);
        EXPECT_TRUE(waiting.ask("version").contains("result")) << "the others are served";
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
        EXPECT_TRUE(next.ask("version").contains("result")) << "and then it is";
    });
}

} // namespace
} // namespace scxhost
