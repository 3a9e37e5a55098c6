// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost run --watch` against a real kernel: each new build of the file is swapped in, one that fails is told and the
// old one goes on, and a file that is still being written is left alone. Runs as root in a guest.
#include "host/base/unique_fd.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kSimple = "/usr/lib/scxhost/plugins/simple.bpf.o";
constexpr const char* kQmap = "/usr/lib/scxhost/plugins/qmap.bpf.o";
constexpr const char* kRefused = "/root/refused.bpf.o";
constexpr const char* kWatched = "/root/watched.bpf.o";

class WatchSwapVm : public QuietGuestTest {
protected:
    void TearDown() override {
        std::filesystem::remove(kWatched);
        QuietGuestTest::TearDown();
    }

    // As `cmake --install` does it: into the file that is there.
    static void build(const std::filesystem::path& from) {
        std::filesystem::copy_file(from, kWatched, std::filesystem::copy_options::overwrite_existing);
    }
    static std::unique_ptr<HostProcess> start() {
        return std::make_unique<HostProcess>(
            std::vector<std::string>{"run", kWatched, "--watch", "--json", "--quiet", "--set", "swap.probation=0s"});
    }
    static void expect_runs(const nlohmann::json& enabled) {
        const SchedExtStatus kernel = kernel_status();
        EXPECT_EQ(kernel.state, SchedExtState::kEnabled);
        EXPECT_EQ(kernel.ops.value_or(""), enabled.at("ops").get<std::string>());
    }
    static void end(HostProcess& host) {
        host.signal(SIGINT);
        EXPECT_EQ(host.wait(), 0) << host.err();
    }
};

TEST_F(WatchSwapVm, EachNewBuildIsSwappedIn) {
    build(kSimple);
    const auto host = start();
    const auto first = host->next_event("enabled");
    ASSERT_TRUE(first) << host->out() << host->err();

    build(kQmap);
    ASSERT_TRUE(host->next_event("build-changed")) << host->out();
    const auto second = host->next_event("enabled");
    ASSERT_TRUE(second) << host->out() << host->err();
    EXPECT_NE(second->at("build_id"), first->at("build_id"));
    expect_runs(*second);

    // Refused by the verifier, and no object at all: told, and what ran goes on untouched.
    build(kRefused);
    ASSERT_TRUE(host->next_event("build-changed")) << host->out();
    ASSERT_TRUE(host->next_event("prepare-failed")) << host->out();
    expect_runs(*second);
    write_text(kWatched, "garbage");
    ASSERT_TRUE(host->next_event("prepare-failed")) << host->out();
    expect_runs(*second);
    EXPECT_THAT(host->err(), HasSubstr("refused program 'refused_enqueue'"));

    // Gone for a while, as in a clean build; then a good one again.
    std::filesystem::remove(kWatched);
    std::this_thread::sleep_for(500ms); // longer than a file has to settle
    build(kSimple);
    const auto third = host->next_event("enabled");
    ASSERT_TRUE(third) << host->out() << host->err();
    EXPECT_EQ(third->at("build_id"), first->at("build_id"));
    expect_runs(*third);
    end(*host);
}

// A linker that takes its time: the half that is there is not taken for a build.
TEST_F(WatchSwapVm, AHalfWrittenBuildIsLeftAlone) {
    build(kSimple);
    const auto host = start();
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();

    const std::string whole = read_text(kQmap);
    std::filesystem::remove(kWatched);
    {
        const UniqueFd file(::open(kWatched, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
        ASSERT_TRUE(file);
        for (std::size_t at = 0; at < whole.size(); at += whole.size() / 4 + 1) {
            const std::string_view part = std::string_view(whole).substr(at, whole.size() / 4 + 1);
            ASSERT_EQ(::write(file.get(), part.data(), part.size()), static_cast<ssize_t>(part.size()));
            std::this_thread::sleep_for(600ms);
        }
    }
    ASSERT_TRUE(host->next_event("enabled")) << host->out() << host->err();
    EXPECT_THAT(host->out(), Not(HasSubstr("prepare-failed")));
    end(*host);
}

// There is nothing to go back to: the host says so, and waits for a better build.
TEST_F(WatchSwapVm, AFirstBuildThatFailsIsWaitedFor) {
    build(kRefused);
    const auto host = start();
    ASSERT_TRUE(host->next_event("stood-down")) << host->out() << host->err();
    build(kSimple);
    const auto enabled = host->next_event("enabled");
    ASSERT_TRUE(enabled) << host->out() << host->err();
    expect_runs(*enabled);
    end(*host);
}

} // namespace
} // namespace scxhost
