// SPDX-License-Identifier: GPL-2.0-only
//
// The zoo (tests/plugins/animals.hpp) on a real kernel, as a user meets it: `scxhost check` names what can be known
// before the kernel, `scxhost run` the rest; and what a plugin does wrong while its scheduler runs never keeps the host
// from its work. Runs as root in a guest.
#include "tests/plugins/animals.hpp"
#include "tests/plugins/journal.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_commands.hpp"
#include "tests/vm/host_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>

namespace scxhost {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// What is on the screen for it.
std::string line_of(const std::string& what) {
    return "error: " + what;
}

class ZooVm : public QuietGuestTest {
protected:
    std::unique_ptr<HostProcess> start(const std::string& command, const std::string& plugin, const char* fault,
                                       std::vector<std::string> more = {}) {
        const Environment what(zoo::kFault, fault);
        const Environment gate(zoo::kGate, gate_.string());
        const Environment journal(zoo::kJournal, journal_.string());
        std::vector<std::string> arguments = {command, plugin, "--plugin-dir", root_.string()};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return std::make_unique<HostProcess>(arguments);
    }
    std::unique_ptr<HostProcess> run(const std::string& plugin, const char* fault) {
        auto host = start("run", plugin, fault, {"--json", "--stay", "--set", "stats.interval=200ms"});
        EXPECT_TRUE(host->wait_for_event("enabled")) << host->out() << host->err();
        return host;
    }
    // A plugin as it was built.
    void put(const char* plugin) {
        const std::string library = std::string(plugin) + ".so";
        dir_.write(library, as_text(zoo_bytes(library)), 0755);
    }
    static void end(HostProcess& host) {
        host.signal(SIGTERM);
        EXPECT_EQ(host.wait(), 0) << host.err();
    }
    static nlohmann::json ask(const char* command) {
        HostProcess asked({command, "--json"});
        EXPECT_EQ(asked.wait(), 0) << asked.err();
        return nlohmann::json::parse(asked.out(), nullptr, false);
    }

    TempDir dir_;
    std::filesystem::path root_ = std::filesystem::canonical(dir_.path());
    TempDir other_;
    std::filesystem::path gate_ = other_.write("gate", "");
    std::filesystem::path journal_ = other_.path() / "journal";
};

class EachZooVm : public ZooVm, public testing::WithParamInterface<Animal> {};

TEST_P(EachZooVm, IsNamed) {
    const Animal& animal = GetParam();
    animal.put(dir_);
    const std::string expected = in_folder(animal, animal.what, root_);
    if (animal.meets <= Meets::kConfigure) {
        const auto host = start("check", animal.plugin, animal.fault);
        EXPECT_NE(host->wait(), 0);
        EXPECT_THAT(host->err(), HasSubstr(line_of(expected)));
        EXPECT_TRUE(animal.meets > Meets::kObject || !std::filesystem::exists(journal_)) << "its code has run";
        return;
    }
    if (animal.meets == Meets::kLoaded) {
        const auto host = start("run", animal.plugin, animal.fault);
        EXPECT_EQ(host->wait(), 2);
        EXPECT_THAT(host->err(), HasSubstr(line_of(expected)));
        return;
    }
    const auto host = run(animal.plugin, animal.fault);
    const auto is_said = [&](const std::string&) { return host->err().find(expected) != std::string::npos; };
    if (animal.meets == Meets::kAttached || animal.meets == Meets::kTick || animal.meets == Meets::kEvent) {
        EXPECT_TRUE(host->wait_for_output(is_said)) << host->err();
        EXPECT_EQ(kernel_status().state, SchedExtState::kEnabled) << "what it has in the kernel goes on";
    }
    end(*host);
    EXPECT_TRUE(is_said({})) << host->err();
}

INSTANTIATE_TEST_SUITE_P(Animals, EachZooVm, testing::ValuesIn(animals()),
                         [](const auto& animal) { return std::string(animal.param.name); });

TEST_F(ZooVm, HangIsToldAndOver) {
    put("good");
    const auto host = run("good", "tick:hang");
    const auto hangs = host->next_event("plugin-hangs");
    ASSERT_TRUE(hangs) << host->out() << host->err();
    EXPECT_EQ(hangs->at("callback"), "tick");
    EXPECT_GE(hangs->at("seconds").get<double>(), 1.0);
    EXPECT_THAT(hangs->at("title").get<std::string>(), StartsWith("good"));
    EXPECT_EQ(ask("status").at("scheduler").at("plugin_hangs").at("callback"), "tick");
    EXPECT_TRUE(host->next_event("statistics")) << "samples go on";
    std::filesystem::remove(gate_);
    EXPECT_TRUE(host->next_event("plugin-returned")) << host->out() << host->err();
    EXPECT_TRUE(ask("status").at("scheduler").at("plugin_hangs").is_null());
    end(*host);
}

TEST_F(ZooVm, EjectionIsSeenWhileThePluginHangs) {
    put("good");
    const auto host = run("good", "tick:hang");
    ASSERT_TRUE(host->next_event("plugin-hangs")) << host->out() << host->err();
    std::ofstream("/proc/sysrq-trigger") << "S" << std::flush;
    EXPECT_TRUE(host->next_event("left")) << host->out() << host->err();
    EXPECT_TRUE(host->next_event("stood-down")) << host->out() << host->err();
    EXPECT_TRUE(on_its_own_scheduler());
    end(*host);
}

TEST_F(ZooVm, PluginThatHangsIsSwappedOut) {
    put("good");
    const auto host = run("good", "tick:hang");
    ASSERT_TRUE(host->next_event("plugin-hangs")) << host->out() << host->err();
    HostProcess swap({"swap", "simple", "--set", "swap.probation=0s"});
    EXPECT_EQ(swap.wait(), 0) << swap.err();
    EXPECT_THAT(kernel_status().ops.value_or(""), StartsWith("simple_"));
    EXPECT_TRUE(ask("status").at("scheduler").at("plugin_hangs").is_null());
    end(*host);
}

TEST_F(ZooVm, TwoHalvesTalk) {
    put("talker");
    const auto host = run("talker", "");
    std::optional<nlohmann::json> sample;
    do {
        sample = host->next_event("statistics");
        ASSERT_TRUE(sample) << host->out() << host->err();
    } while (sample->at("statistics").at("heard").at("value") < 3);
    const nlohmann::json& statistics = sample->at("statistics");
    EXPECT_GE(statistics.at("asked").at("value"), 3);
    EXPECT_TRUE(statistics.at("asked").contains("rate"));
    EXPECT_GE(statistics.at("last").at("value"), 6);
    EXPECT_TRUE(statistics.contains("enqueued")) << "those of the BPF side too";

    bool found = false;
    const nlohmann::json answer = ask("stats");
    for (const nlohmann::json& entry : answer.at("statistics"))
        if (entry.at("name") == "last") {
            found = true;
            EXPECT_EQ(entry.at("kind"), "gauge");
            EXPECT_EQ(entry.at("unit"), "halves");
            EXPECT_EQ(entry.at("group"), "user space");
            EXPECT_EQ(entry.at("help"), "The latest answer");
        }
    EXPECT_TRUE(found);
    end(*host);
    EXPECT_THAT(host->err(), Not(HasSubstr("error"))); // a note names what this kernel lacks
}

TEST_F(ZooVm, PluginOfContract1_0Runs) {
    put("old");
    const auto host = run("old", "");
    EXPECT_TRUE(host->next_event("statistics")) << host->out() << host->err();
    end(*host);
    std::ifstream file(journal_);
    const std::string journal((std::istreambuf_iterator<char>(file)), {});
    EXPECT_THAT(journal, StartsWith("configure\nloaded\nattached\ntick\n"));
    EXPECT_THAT(journal, HasSubstr("detaching\ndestroy\n"));
}

// Every command line that docs/contract.md shows.
TEST(ContractDocVm, CommandsWork) {
    if (!has_qmap())
        GTEST_SKIP() << "the page shows qmap, which needs kfuncs that are malformed in this kernel's BTF";
    for (const std::string& command : commands_of("/root/contract.md", "$ "))
        EXPECT_EQ(std::system((command + " > /dev/null").c_str()), 0) << command;
}

} // namespace
} // namespace scxhost
