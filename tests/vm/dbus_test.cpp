// SPDX-License-Identifier: GPL-2.0-only
//
// The host on a message bus: a real bus, the real command, a real kernel. What polkit would say is said by the tests.
// Runs as root in a guest.
#include "host/dbus/bus.hpp"
#include "tests/support/other_user.hpp"
#include "tests/vm/host_commands.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

namespace scxhost {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kBusConfig = "/root/bus.conf";
constexpr const char* kBusSocket = "/root/bus/socket";
constexpr const char* kAddress = "unix:path=/root/bus/socket";
constexpr const char* kConfig = "/root/desktop.toml";

// Every user may own every name: the tests' own policy, since they stand in for polkit.
constexpr const char* kBusText = R"(<busconfig>
  <listen>unix:path=/root/bus/socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/>
    <allow receive_type="error"/><allow receive_type="signal"/>
  </policy>
</busconfig>
)";

constexpr const char* kText = R"([scheduler]
plugin = "simple"
[swap]
probation = "300s"
[restart]
delay = "0s"
[dbus]
enabled = true
[dbus.schedulers.scx_simple]
plugin = "simple"
modes.Gaming = { options = { slice = "3ms" } }
[dbus.schedulers.scx_first]
plugin = "simple"
options = { fifo = true }
[dbus.schedulers.scx_faulty]
config = "faulty.toml"
[dbus.schedulers.scx_wrong]
plugin = "simple"
options = { no_such_option = 1 }
)";

// As TOML.
std::string running_slice() {
    return status().at("scheduler").at("options").value("slice", "");
}

// A client of the bus.
class Client {
public:
    Client() {
        EXPECT_GE(sd_bus_new(&bus_), 0);
        EXPECT_GE(sd_bus_set_address(bus_, kAddress), 0);
        EXPECT_GE(sd_bus_set_bus_client(bus_, 1), 0);
        EXPECT_GE(sd_bus_start(bus_), 0);
        EXPECT_GE(sd_bus_set_method_call_timeout(bus_, 300'000'000), 0);
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { sd_bus_flush_close_unref(bus_); }

    // Empty: it succeeded. Else the error's name and text.
    template <typename... Arguments>
    std::string call(const char* method, const char* types, Arguments... arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message* reply = nullptr;
        const int code = sd_bus_call_method(bus_, "org.scx.Loader", "/org/scx/Loader", "org.scx.Loader", method, &error,
                                            &reply, types, arguments...);
        std::string text = code < 0 ? fmt::format("{}: {}", error.name, error.message) : std::string();
        sd_bus_error_free(&error);
        sd_bus_message_unref(reply);
        return text;
    }

    std::string text_property(const char* name) {
        char* text = nullptr;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const int code = sd_bus_get_property_string(bus_, "org.scx.Loader", "/org/scx/Loader", "org.scx.Loader", name,
                                                    &error, &text);
        std::string result = code < 0 ? fmt::format("{}: {}", error.name, error.message) : text;
        sd_bus_error_free(&error);
        ::free(text); // NOLINT: sd-bus's
        return result;
    }
    std::uint32_t mode() {
        std::uint32_t mode = 99;
        (void)sd_bus_get_property_trivial(bus_, "org.scx.Loader", "/org/scx/Loader", "org.scx.Loader", "SchedulerMode",
                                          nullptr, 'u', &mode);
        return mode;
    }

    [[nodiscard]] sd_bus* get() const { return bus_; }

private:
    sd_bus* bus_ = nullptr;
};

class DbusVm : public QuietGuestTest {
protected:
    void SetUp() override {
        QuietGuestTest::SetUp();
        write_text(kBusConfig, kBusText);
        write_text(kConfig, kText);
        write_text("/root/faulty.toml", "[scheduler]\nplugin = \"faulty\"\noptions = { fault = \"init\" }\n"
                                        "[host]\nplugin_dirs = [\"/root\"]\n");
        ::mkdir("/root/bus", 0755);
        ::chmod("/root", 0755); // other users reach the bus
        daemon_ = ::fork();
        if (daemon_ == 0) {
            ::execl("/root/dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", "--config-file=/root/bus.conf",
                    nullptr);
            ::_exit(127);
        }
        ASSERT_TRUE(wait_until([] { return std::filesystem::exists(kBusSocket); }));
        host_.emplace(std::vector<std::string>{"run", "--stay", "--quiet", "--json", kConfig});
        ASSERT_TRUE(host_->wait_for_event("enabled")) << host_->err();
        start_bridge();
        client_.emplace();
    }
    void TearDown() override {
        client_.reset();
        if (bridge_)
            end(*bridge_);
        if (host_)
            end(*host_);
        ::kill(daemon_, SIGTERM);
        ::waitpid(daemon_, nullptr, 0);
        std::filesystem::remove(kBusSocket);
        QuietGuestTest::TearDown();
    }

    void start_bridge() {
        bridge_.emplace(std::vector<std::string>{"dbus", kConfig, "--address", kAddress});
        ASSERT_TRUE(wait_until([] {
            const Client client;
            return sd_bus_get_name_creds(client.get(), "org.scxhost.Host1", 0, nullptr) >= 0;
        })) << bridge_->err();
        Client client;
        ASSERT_TRUE(wait_until([&] { return client.text_property("CurrentScheduler") == "scx_simple"; }))
            << client.text_property("CurrentScheduler");
    }

    Client& client() { return *client_; } // NOLINT(bugprone-unchecked-optional-access): SetUp's
    HostProcess& host() { return *host_; }
    HostProcess& bridge() { return *bridge_; }

    pid_t daemon_ = -1;
    std::optional<HostProcess> host_;
    std::optional<HostProcess> bridge_;
    std::optional<Client> client_;
};

// It answers when the kernel has confirmed the scheduler and not when probation is over, which is far away here.
TEST_F(DbusVm, ASwitchIsAnsweredWithTheKernelsWord) {
    const std::uint64_t before = kernel_status().enable_seq;
    EXPECT_EQ(client().call("SwitchScheduler", "su", "scx_simple", 1U), "");
    EXPECT_EQ(kernel_status().enable_seq, before + 1);
    expect_runs("simple");
    EXPECT_EQ(running_slice(), "\"3ms\"");
    EXPECT_TRUE(wait_until([&] { return client().mode() == 1; }));
    EXPECT_EQ(client().text_property("CurrentScheduler"), "scx_simple");

    // Arguments are options of a plugin.
    EXPECT_EQ(client().call("StartSchedulerWithArgs", "sas", "scx_simple", 1, "slice=7ms"), "");
    EXPECT_EQ(running_slice(), "\"7ms\"");
    EXPECT_TRUE(wait_until([&] { return client().mode() == 0; }));

    EXPECT_EQ(client().call("StopScheduler", ""), "");
    EXPECT_TRUE(wait_until([&] { return client().text_property("CurrentScheduler") == "unknown"; }));
    EXPECT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
    EXPECT_THAT(client().call("RestartScheduler", ""), HasSubstr("nothing to restart"));

    EXPECT_EQ(client().call("RestoreDefault", ""), "");
    EXPECT_TRUE(wait_until([&] { return client().text_property("CurrentScheduler") == "scx_simple"; }));
    const std::uint64_t restored = kernel_status().enable_seq;
    EXPECT_EQ(client().call("RestartScheduler", ""), "");
    EXPECT_EQ(kernel_status().enable_seq, restored + 1);
}

TEST_F(DbusVm, WhatFailsIsAnErrorAndTheGoodOneRuns) {
    const std::uint64_t before = kernel_status().enable_seq;
    EXPECT_THAT(client().call("SwitchScheduler", "su", "scx_wrong", 0U),
                AllOf(StartsWith("org.freedesktop.DBus.Error.Failed"), HasSubstr("no_such_option"),
                      HasSubstr("simple 0.1.0 runs")));
    EXPECT_EQ(kernel_status().enable_seq, before);
    EXPECT_THAT(client().call("SwitchScheduler", "su", "scx_faulty", 0U),
                AllOf(HasSubstr("init"), HasSubstr("simple 0.1.0 runs")));
    expect_runs("simple");
    EXPECT_TRUE(wait_until([&] { return client().text_property("CurrentScheduler") == "scx_simple"; }));
    EXPECT_THAT(client().call("SwitchScheduler", "su", "scx_fist", 0U), HasSubstr("did you mean \"scx_first\"?"));
    EXPECT_THAT(client().call("SwitchScheduler", "su", "scx_first", 4U), HasSubstr("no mode Server"));
    EXPECT_THAT(client().call("SwitchScheduler", "su", "scx_first", 5U), HasSubstr("no mode 5"));
    EXPECT_THAT(client().call("SwitchSchedulerWithArgs", "sas", "scx_first", 1, "ops.timeout_ms=1"),
                HasSubstr("is no option"));
}

// What comes in its place is not what was asked for, though the kernel has confirmed it.
TEST_F(DbusVm, AFallbackIsNoSuccess) {
    write_text("/root/desktop.toml.new", std::string(kText) + "[host]\nfallback = [\"simple\"]\n"
                                                              "[dbus.schedulers.scx_zulu]\nplugin = \"simple\"\n");
    std::filesystem::rename("/root/desktop.toml.new", kConfig);
    // Its bus is told of a changed file first; a request in the middle of its preparation is refused as busy.
    for (std::string outcome; outcome != "unchanged";) {
        const auto settled = host().next_event("settled");
        ASSERT_TRUE(settled) << host().err();
        outcome = settled->value("outcome", "");
    }
    ASSERT_TRUE(wait_until([&] { return client().call("SchedulerModes", "s", "scx_zulu").empty(); }));
    EXPECT_EQ(client().call("RestartScheduler", ""), "");
    EXPECT_EQ(client().call("StopScheduler", ""), "");
    ASSERT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
    EXPECT_THAT(client().call("SwitchScheduler", "su", "scx_faulty", 0U), HasSubstr("init"));
    ASSERT_TRUE(wait_until([] { return kernel_status().state == SchedExtState::kEnabled; }));
    EXPECT_TRUE(wait_until([&] { return client().text_property("CurrentScheduler") == "scx_simple"; }))
        << client().text_property("CurrentScheduler");
}

// The value of an attribute in a line of XML.
std::string attribute(const std::string& line, std::string_view name) {
    const std::string before = fmt::format(" {}=\"", name);
    const std::size_t begin = line.find(before);
    if (begin == std::string::npos)
        return {};
    const std::size_t value = begin + before.size();
    return line.substr(value, line.find('"', value) - value);
}

// What an object says it has in an interface: "Method(arguments) -> results", "Property: type".
std::vector<std::string> members(sd_bus* bus, const char* name, const char* path) {
    sd_bus_message* reply = nullptr;
    const char* xml = "";
    EXPECT_GE(
        sd_bus_call_method(bus, name, path, "org.freedesktop.DBus.Introspectable", "Introspect", nullptr, &reply, ""),
        0);
    EXPECT_GE(sd_bus_message_read(reply, "s", &xml), 0);
    std::vector<std::string> result;
    std::string interface;
    std::string method;
    std::string in;
    std::string out;
    std::istringstream lines(xml);
    for (std::string line; std::getline(lines, line);) {
        if (line.find("<interface ") != std::string::npos)
            interface = attribute(line, "name");
        if (interface != name)
            continue;
        if (line.find("<method ") != std::string::npos) {
            method = attribute(line, "name");
            in.clear();
            out.clear();
        } else if (line.find("<arg ") != std::string::npos) {
            (attribute(line, "direction") == "out" ? out : in) += attribute(line, "type");
        } else if (line.find("<property ") != std::string::npos) {
            result.push_back(attribute(line, "name") + ": " + attribute(line, "type"));
        }
        const bool has_no_arguments =
            line.find("<method ") != std::string::npos && line.find("/>") != std::string::npos;
        if (has_no_arguments || line.find("</method>") != std::string::npos)
            result.push_back(fmt::format("{}({}) -> {}", method, in, out));
    }
    sd_bus_message_unref(reply);
    return result;
}

// As the tools that there are call it.
TEST_F(DbusVm, TheInterfaceIsTheOneThatDesktopToolsKnow) {
    EXPECT_THAT(members(client().get(), "org.scx.Loader", "/org/scx/Loader"),
                testing::UnorderedElementsAre(
                    "StartScheduler(su) -> ", "StartSchedulerWithArgs(sas) -> ", "SwitchScheduler(su) -> ",
                    "SwitchSchedulerWithArgs(sas) -> ", "StopScheduler() -> ", "RestartScheduler() -> ",
                    "RestoreDefault() -> ", "SchedulerModes(s) -> au", "SchedulerModeArgs(s) -> a(uas)",
                    "CurrentScheduler: s", "SchedulerMode: u", "CurrentSchedulerArgs: as", "SupportedSchedulers: as",
                    "DefaultScheduler: s", "DefaultMode: u", "DaemonGeneration: s"));
    EXPECT_THAT(members(client().get(), "org.scxhost.Host1", "/org/scxhost/Host1"),
                testing::UnorderedElementsAre("Status() -> a{sv}", "Statistics(s) -> a{sv}", "Swap(sa{ss}s) -> a{sv}",
                                              "Stop(s) -> ", "Resume(s) -> ", "Incidents() -> a(uss)"));
}

// Who listens to the property sees the kernel's state of that moment, whoever has swapped.
TEST_F(DbusVm, PropertiesChangeWhenTheKernelHasConfirmed) {
    struct Seen {
        int changes = 0;
        std::string ops;
    } seen;
    ASSERT_GE(sd_bus_match_signal(
                  client().get(), nullptr, "org.scx.Loader", "/org/scx/Loader", "org.freedesktop.DBus.Properties",
                  "PropertiesChanged",
                  [](sd_bus_message*, void* data, sd_bus_error*) {
                      ++static_cast<Seen*>(data)->changes;
                      static_cast<Seen*>(data)->ops = kernel_status().ops.value_or("");
                      return 0;
                  },
                  &seen),
              0);
    HostProcess command({"swap", "/root/faulty.toml", "--set", "fault=none", "--no-wait"});
    EXPECT_TRUE(wait_until([&] {
        (void)sd_bus_wait(client().get(), 100'000);
        while (sd_bus_process(client().get(), nullptr) > 0) {
        }
        return seen.changes > 0;
    }));
    command.wait();
    EXPECT_THAT(seen.ops, StartsWith("faulty")) << command.err();
    EXPECT_EQ(client().text_property("CurrentScheduler"), "scx_faulty");
}

// Answers calls on a thread of its own.
class Server {
public:
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

protected:
    Server() = default;
    ~Server() { stop(); }

    void serve(const char* name) {
        EXPECT_GE(sd_bus_request_name(client_.get(), name, 0), 0);
        thread_ = std::jthread([this](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                {
                    const std::lock_guard lock(mutex_);
                    while (sd_bus_process(client_.get(), nullptr) > 0) {
                    }
                }
                pollfd polled{.fd = sd_bus_get_fd(client_.get()), .events = POLLIN, .revents = 0};
                (void)::poll(&polled, 1, 50);
            }
        });
    }
    void stop() {
        thread_.request_stop();
        if (thread_.joinable())
            thread_.join();
    }

    std::mutex mutex_; // for client_
    Client client_;

private:
    std::jthread thread_;
};

// Says to polkit's one question what the test wants, and remembers what was asked.
class Polkit : public Server {
public:
    explicit Polkit(bool allows)
        : allows_(allows) {
        static const sd_bus_vtable table[] = {
            SD_BUS_VTABLE_START(0),
            SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", &Polkit::check,
                          SD_BUS_VTABLE_UNPRIVILEGED),
            SD_BUS_VTABLE_END,
        };
        EXPECT_GE(sd_bus_add_object_vtable(client_.get(), nullptr, "/org/freedesktop/PolicyKit1/Authority",
                                           "org.freedesktop.PolicyKit1.Authority", table, this),
                  0);
        serve("org.freedesktop.PolicyKit1");
    }
    ~Polkit() { stop(); }
    std::string asked() {
        stop();
        return asked_;
    }

private:
    static int check(sd_bus_message* call, void* data, sd_bus_error*) {
        auto& self = *static_cast<Polkit*>(data);
        const char* action = "";
        (void)sd_bus_message_skip(call, "(sa{sv})");
        (void)sd_bus_message_read(call, "s", &action);
        self.asked_ += fmt::format("{} ", action);
        return sd_bus_reply_method_return(call, "(bba{ss})", self.allows_ ? 1 : 0, 0, 0);
    }

    bool allows_;
    std::string asked_;
};

TEST_F(DbusVm, OthersThanRootMayWhatPolkitAllows) {
    const auto as_nobody = [](const char* method, const char* types, auto... arguments) {
        std::string said;
        as_other_user(65534, 65534, {}, [&] { said = Client().call(method, types, arguments...); });
        return said;
    };
    EXPECT_THAT(as_nobody("StopScheduler", ""),
                AllOf(StartsWith("org.freedesktop.DBus.Error.AccessDenied"), HasSubstr("there is no polkit")));
    expect_runs("simple");
    {
        Polkit polkit(false);
        EXPECT_THAT(as_nobody("SwitchScheduler", "su", "scx_simple", 1U), HasSubstr("polkit does not allow"));
        EXPECT_THAT(as_nobody("SwitchSchedulerWithArgs", "sas", "scx_simple", 1, "slice=9ms"),
                    HasSubstr("polkit does not allow"));
        EXPECT_EQ(polkit.asked(), "org.scxhost.switch org.scxhost.configure ");
    }
    EXPECT_EQ(running_slice(), "\"20ms\"");
    {
        Polkit polkit(true);
        EXPECT_EQ(as_nobody("SwitchScheduler", "su", "scx_simple", 1U), "");
        EXPECT_EQ(running_slice(), "\"3ms\"");
    }
    { // in the other interface too: what is configured, options of one's own, and what is not configured
        Polkit polkit(false);
        as_other_user(65534, 65534, {}, [] {
            const Client nobody;
            const auto swap = [&nobody](const char* types, auto... arguments) {
                return sd_bus_call_method(nobody.get(), "org.scxhost.Host1", "/org/scxhost/Host1", "org.scxhost.Host1",
                                          "Swap", nullptr, nullptr, types, arguments...);
            };
            EXPECT_EQ(swap("sa{ss}s", "scx_simple", 0, ""), -EACCES);
            EXPECT_EQ(swap("sa{ss}s", "scx_simple", 1, "slice", "9ms", ""), -EACCES);
            EXPECT_EQ(swap("sa{ss}s", "simple", 0, ""), -EACCES);
        });
        EXPECT_EQ(polkit.asked(), "org.scxhost.switch org.scxhost.configure org.scxhost.configure ");
    }
    // To look needs nobody's word.
    as_other_user(65534, 65534, {}, [&] {
        Client nobody;
        EXPECT_EQ(nobody.text_property("DefaultScheduler"), "scx_simple");
    });
}

// A client that sends without end and never reads is the bus's to bear; others are served meanwhile.
TEST_F(DbusVm, AFloodOfCallsHindersNobody) {
    const pid_t flood = ::fork();
    if (flood == 0) {
        Client greedy;
        const auto send = [&greedy](const char* name, const char* path, const char* method, const char* argument) {
            sd_bus_message* message = nullptr;
            (void)sd_bus_message_new_method_call(greedy.get(), &message, name, path, name, method);
            (void)sd_bus_message_append(message, "s", argument);
            (void)sd_bus_send(greedy.get(), message, nullptr);
            sd_bus_message_unref(message);
        };
        const std::string too_long(100'000, 'x'); // for the host, which hangs up on who sends that
        send("org.scxhost.Host1", "/org/scxhost/Host1", "Statistics", too_long.c_str());
        for (;;) {
            send("org.scx.Loader", "/org/scx/Loader", "SchedulerModeArgs", "scx_simple");
            send("org.scxhost.Host1", "/org/scxhost/Host1", "Statistics", "");
        }
    }
    const std::string generation = client().text_property("DaemonGeneration");
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(client().text_property("CurrentScheduler"), "scx_simple");
        EXPECT_EQ(client().call("RestartScheduler", ""), "");
    }
    ::kill(flood, SIGKILL);
    ::waitpid(flood, nullptr, 0);
    EXPECT_TRUE(std::filesystem::exists(fmt::format("/proc/{}", bridge().pid())));
    EXPECT_EQ(client().text_property("DaemonGeneration"), generation); // nor was the host lost
}

// While no host runs there is no scheduler, and an error says so; the next host is found by itself.
TEST_F(DbusVm, TheHostMayGoAndComeBack) {
    const std::string generation = client().text_property("DaemonGeneration");
    end(host());
    EXPECT_TRUE(wait_until([&] { return client().text_property("CurrentScheduler") == "unknown"; }));
    EXPECT_TRUE(wait_until([&] {
        return client().call("SwitchScheduler", "su", "scx_simple", 0U).find("no host is running") != std::string::npos;
    }));
    host_.emplace(std::vector<std::string>{"run", "--stay", "--quiet", "--json", kConfig});
    ASSERT_TRUE(host().wait_for_event("enabled")) << host().err();
    EXPECT_TRUE(wait_until([&] { return client().text_property("CurrentScheduler") == "scx_simple"; }));
    EXPECT_NE(client().text_property("DaemonGeneration"), generation);
    EXPECT_EQ(client().call("SwitchScheduler", "su", "scx_simple", 1U), "");
}

// What a changed configuration offers is there without a restart.
TEST_F(DbusVm, AChangedConfigurationOffersOthers) {
    EXPECT_THAT(client().call("SwitchScheduler", "su", "scx_zulu", 0U), HasSubstr("no scheduler \"scx_zulu\""));
    write_text("/root/desktop.toml.new", std::string(kText) + "[dbus.schedulers.scx_zulu]\nplugin = \"simple\"\n");
    std::filesystem::rename("/root/desktop.toml.new", kConfig);
    EXPECT_TRUE(wait_until([&] { return client().call("SwitchScheduler", "su", "scx_zulu", 0U).empty(); }));
}

// power-profiles-daemon, as far as it is listened to.
class Profiles : public Server {
public:
    Profiles() {
        static const sd_bus_vtable table[] = {
            SD_BUS_VTABLE_START(0),
            SD_BUS_PROPERTY("ActiveProfile", "s", &Profiles::get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
            SD_BUS_VTABLE_END,
        };
        EXPECT_GE(sd_bus_add_object_vtable(client_.get(), nullptr, kPath, kName, table, this), 0);
        serve(kName);
    }
    ~Profiles() { stop(); }
    void set(const char* profile) {
        const std::lock_guard lock(mutex_);
        active_ = profile;
        EXPECT_GE(sd_bus_emit_properties_changed(client_.get(), kPath, kName, "ActiveProfile", nullptr), 0);
        EXPECT_GE(sd_bus_flush(client_.get()), 0);
    }

private:
    static constexpr const char* kName = "net.hadess.PowerProfiles";
    static constexpr const char* kPath = "/net/hadess/PowerProfiles";
    static int get(sd_bus*, const char*, const char*, const char*, sd_bus_message* out, void* data, sd_bus_error*) {
        return sd_bus_message_append(out, "s", static_cast<Profiles*>(data)->active_);
    }

    const char* active_ = "balanced";
};

TEST_F(DbusVm, APowerProfileBringsItsScheduler) {
    write_text("/root/desktop.toml.new",
               std::string(kText) +
                   "[dbus.schedulers.scx_zulu]\nplugin = \"simple\"\n[power]\npower-saver = \"scx_simple:Gaming\"\n"
                   "performance = \"scx_first\"\n");
    std::filesystem::rename("/root/desktop.toml.new", kConfig);
    ASSERT_TRUE(wait_until([&] { return client().call("SchedulerModes", "s", "scx_zulu").empty(); }));
    Profiles profiles;
    profiles.set("power-saver");
    EXPECT_TRUE(wait_until([] { return running_slice() == "\"3ms\""; }));
    profiles.set("performance");
    EXPECT_TRUE(wait_until([&] { return client().text_property("CurrentScheduler") == "scx_first"; }));
    expect_runs("simple");
    // A signal that somebody else has sent is no profile.
    Client forger;
    sd_bus_message* forged = nullptr;
    ASSERT_GE(sd_bus_message_new_signal(forger.get(), &forged, "/net/hadess/PowerProfiles",
                                        "org.freedesktop.DBus.Properties", "PropertiesChanged"),
              0);
    ASSERT_GE(sd_bus_message_append(forged, "sa{sv}as", "net.hadess.PowerProfiles", 1, "ActiveProfile", "s",
                                    "power-saver", 0),
              0);
    const char* bridge_name = nullptr;
    sd_bus_creds* creds = nullptr;
    ASSERT_GE(sd_bus_get_name_creds(forger.get(), "org.scx.Loader", SD_BUS_CREDS_UNIQUE_NAME, &creds), 0);
    ASSERT_GE(sd_bus_creds_get_unique_name(creds, &bridge_name), 0);
    ASSERT_GE(sd_bus_message_set_destination(forged, bridge_name), 0);
    ASSERT_GE(sd_bus_send(forger.get(), forged, nullptr), 0);
    ASSERT_GE(sd_bus_flush(forger.get()), 0);
    sd_bus_message_unref(forged);
    sd_bus_creds_unref(creds);
    EXPECT_EQ(client().text_property("CurrentScheduler"), "scx_first");
    profiles.set("balanced"); // of which nothing is said
    const std::uint64_t seq = kernel_status().enable_seq;
    EXPECT_EQ(client().call("SwitchScheduler", "su", "scx_simple", 0U), "");
    EXPECT_EQ(kernel_status().enable_seq, seq + 1);
}

TEST_F(DbusVm, TheOwnInterfaceTellsOutcomesAndEvents) {
    struct Heard {
        std::string enabled;
    } heard;
    ASSERT_GE(sd_bus_match_signal(
                  client().get(), nullptr, "org.scxhost.Host1", "/org/scxhost/Host1", "org.scxhost.Host1", "Event",
                  [](sd_bus_message* signal, void* data, sd_bus_error*) {
                      const char* name = "";
                      const char* seat = "";
                      EXPECT_GE(sd_bus_message_read(signal, "ss", &name, &seat), 0);
                      if (std::string_view(name) == "enabled")
                          static_cast<Heard*>(data)->enabled = seat;
                      return 0;
                  },
                  &heard),
              0);
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message* reply = nullptr;
    ASSERT_GE(sd_bus_call_method(client().get(), "org.scxhost.Host1", "/org/scxhost/Host1", "org.scxhost.Host1", "Swap",
                                 &error, &reply, "sa{ss}s", "simple", 1, "slice", "4ms", ""),
              0)
        << error.message;
    std::string outcome;
    double gap = -1;
    ASSERT_GE(sd_bus_message_enter_container(reply, 'a', "{sv}"), 0);
    while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
        const char* key = "";
        const char* text = "";
        ASSERT_GE(sd_bus_message_read(reply, "s", &key), 0);
        if (std::string_view(key) == "outcome") {
            ASSERT_GE(sd_bus_message_read(reply, "v", "s", &text), 0);
            outcome = text;
        } else if (std::string_view(key) == "gap_ms") {
            ASSERT_GE(sd_bus_message_read(reply, "v", "d", &gap), 0);
        } else {
            ASSERT_GE(sd_bus_message_skip(reply, "v"), 0);
        }
        ASSERT_GE(sd_bus_message_exit_container(reply), 0);
    }
    sd_bus_message_unref(reply);
    EXPECT_EQ(outcome, "on-probation");
    EXPECT_GT(gap, 0);
    EXPECT_EQ(running_slice(), "\"4ms\"");
    EXPECT_TRUE(wait_until([&] {
        while (sd_bus_process(client().get(), nullptr) > 0) {
        }
        return heard.enabled == "machine";
    })) << heard.enabled;
    // The host reads files as root: callers name none.
    EXPECT_LT(sd_bus_call_method(client().get(), "org.scxhost.Host1", "/org/scxhost/Host1", "org.scxhost.Host1", "Swap",
                                 &error, nullptr, "sa{ss}s", "/root/faulty.toml", 0, ""),
              0);
    EXPECT_THAT(error.message, HasSubstr("by its plugin's name"));
    sd_bus_error_free(&error);
}

} // namespace
} // namespace scxhost
