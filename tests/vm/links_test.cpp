// SPDX-License-Identifier: GPL-2.0-only
//
// Links of schedulers that other programs attached, against a real kernel: dead ones whose loader lives on, and one
// that is pinned and belongs to no process. The other programs are children of the test. Runs as root in a guest.
#include "host/kernel/scheduler_links.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_process.hpp"
#include "tests/vm/live_policy.hpp"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kPin = "/sys/fs/bpf/scheduler";

// A program that attaches a policy, and does no more than it is told to: the last thing is to close its link, as its
// end does.
class Loader {
public:
    Loader(const std::string& plugin, const std::vector<std::string>& settings, bool until_ejected) {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        ours_ = UniqueFd(ends[0]);
        const UniqueFd theirs(ends[1]);
        pid_ = ::fork();
        if (pid_ == 0) {
            ours_.reset(); // so that the test's end is ours
            std::_Exit(load(plugin, settings, until_ejected, theirs.get()));
        }
    }
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;
    ~Loader() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    [[nodiscard]] pid_t pid() const { return pid_; }
    // Attached, and ejected if that was asked for.
    [[nodiscard]] bool is_ready() const { return answer(); }
    // Returns when the kernel is done with it.
    [[nodiscard]] bool close_link() const { return ::write(ours_.get(), "c", 1) == 1 && answer(); }
    void end() const {
        ::kill(pid_, SIGKILL);
        EXPECT_TRUE(wait_until([this] {
            siginfo_t info{};
            return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                   info.si_pid == pid_;
        }));
    }

private:
    [[nodiscard]] bool answer() const {
        char byte = 0;
        return ::read(ours_.get(), &byte, 1) == 1;
    }

    static int load(const std::string& plugin, const std::vector<std::string>& settings, bool until_ejected,
                    int socket) {
        char order = 0;
        LivePolicy policy(plugin, settings);
        Result<Attachment> link = policy.object().attach();
        if (!link || (until_ejected && !wait_until([&] { return policy.exit_record().left(); })))
            return 1;
        if (::write(socket, "r", 1) != 1 || ::read(socket, &order, 1) != 1)
            return 1;
        link->close();
        return ::write(socket, "c", 1) == 1 && ::read(socket, &order, 1) == 0 ? 0 : 1;
    }

    UniqueFd ours_;
    pid_t pid_ = -1;
};

class LinksVm : public QuietGuestTest {
protected:
    void TearDown() override {
        std::filesystem::remove(kPin);
        EXPECT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
        QuietGuestTest::TearDown();
    }

    KernelBtf btf_ = KernelBtf::load().value();
    SchedExtProbe probe_ = SchedExtProbe::open().value();
};

// On 6.16 to 7.0 the second loader's scheduler ends when the first one closes its link, unless that was detached.
TEST_F(LinksVm, ADeadLinkIsDetachedBeforeTheNextAttach) {
    const Loader first("faulty", {"host.plugin_dirs=[\"/root\"]", "fault=error", "after=5"}, true);
    ASSERT_TRUE(first.is_ready());
    ASSERT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));

    LivePolicy second("simple");
    {
        Result<DeadLinks> dead = DeadLinks::find(btf_, probe_);
        ASSERT_TRUE(dead) << dead.error().what;
        dead->detach(probe_);
    } // or we would be the link's last holder
    EXPECT_TRUE(list_scheduler_links(btf_).value().empty()) << "a detached link is none any more";

    second.attach();
    ASSERT_TRUE(first.close_link());
    fork_storm(500, 4); // where the kernel ends the wrong one, it does so within this
    EXPECT_TRUE(second.running()) << second.exit_record().kind_name();
    const auto links = list_scheduler_links(btf_).value();
    ASSERT_EQ(links.size(), 1U);
    EXPECT_EQ(links.front().ops_name, second.object().ops_name());
    EXPECT_TRUE(DeadLinks::find(btf_, probe_).value().links().empty());
}

TEST_F(LinksVm, WhileOneRunsNoDeadLinkIsDetached) {
    const Loader first("faulty", {"host.plugin_dirs=[\"/root\"]", "fault=error", "after=5"}, true);
    ASSERT_TRUE(first.is_ready());
    ASSERT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
    DeadLinks dead = DeadLinks::find(btf_, probe_).value();
    ASSERT_EQ(dead.links().size(), 1U);
    LivePolicy second("simple");
    second.attach();
    dead.detach(probe_);
    fork_storm(500, 4);
    EXPECT_TRUE(second.running()) << second.exit_record().kind_name();
    second.detach();
}

TEST_F(LinksVm, TheHostDetachesADeadLinkBeforeItAttaches) {
    const Loader first("faulty", {"host.plugin_dirs=[\"/root\"]", "fault=error", "after=5"}, true);
    ASSERT_TRUE(first.is_ready());
    ASSERT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
    HostProcess host({"run", "simple", "--json"});
    const auto enabled = host.wait_for_event("enabled");
    ASSERT_TRUE(enabled) << host.out() << host.err();
    EXPECT_EQ(list_scheduler_links(btf_).value().size(), 1U);
    ASSERT_TRUE(first.close_link());
    fork_storm(500, 4); // where the kernel ends the wrong one, it does so within this
    const SchedExtStatus now = kernel_status();
    EXPECT_EQ(now.state, SchedExtState::kEnabled);
    EXPECT_EQ(now.enable_seq, enabled->at("enable_seq").get<std::uint64_t>()) << host.out();
    host.signal(SIGTERM);
    EXPECT_EQ(host.wait(), 0) << host.out() << host.err();
}

TEST_F(LinksVm, TheHolderIsNamed) {
    const Loader loader("simple", {}, false);
    ASSERT_TRUE(loader.is_ready());
    HostProcess host({"run", "simple"});
    EXPECT_EQ(host.wait(), 1) << host.err();
    EXPECT_THAT(host.err(),
                HasSubstr("is held by vm_tests (pid " + std::to_string(loader.pid()) + "): end that first"));
}

TEST_F(LinksVm, APinnedOneThatBelongsToNobodyIsNamedWithTheWayToEndIt) {
    {
        const Loader loader("simple", {}, false);
        ASSERT_TRUE(loader.is_ready());
        const auto links = list_scheduler_links(btf_).value();
        ASSERT_EQ(links.size(), 1U);
        ASSERT_EQ(bpf_obj_pin(links.front().fd.get(), kPin), 0);
        loader.end();
    }
    ASSERT_EQ(kernel_status().state, SchedExtState::kEnabled);
    HostProcess host({"run", "simple"});
    EXPECT_EQ(host.wait(), 1) << host.err();
    EXPECT_THAT(host.err(), AllOf(HasSubstr("is pinned at /sys/fs/bpf/scheduler and no process holds it"),
                                  HasSubstr("rm /sys/fs/bpf/scheduler")));
    std::filesystem::remove(kPin); // as it says
    EXPECT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
}

} // namespace
} // namespace scxhost
