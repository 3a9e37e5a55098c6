// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost top` on a real terminal, tmux's, by what stands on its screen; with a real host and kernel. Runs as root in
// a guest.
#include "tests/vm/host_commands.hpp"

#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <sstream>

namespace scxhost {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kOther = "/root/other.toml";
constexpr const char* kSocket = "/run/scxhost/control.sock";

// A shell on a terminal, in which somebody types.
class Terminal {
public:
    Terminal() {
        tmux("kill-server 2>/dev/null");
        tmux("-f /dev/null new-session -d -x 80 -y 24 'exec /bin/sh'");
        type("PS1='ready> '");
        key("Enter");
        EXPECT_TRUE(shows("\nready>")) << screen();
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    ~Terminal() { tmux("kill-server"); }

    void type(const std::string& text) {
        std::string quoted;
        for (const char c : text)
            quoted += c == '\'' ? "'\\''" : std::string(1, c);
        tmux("send-keys -l '" + quoted + "'");
    }
    void key(const std::string& name) { tmux("send-keys " + name); }
    void enter(const std::string& line) {
        type(line);
        key("Enter");
    }
    void resize(int columns, int lines) { tmux(fmt::format("resize-window -x {} -y {}", columns, lines)); }
    [[nodiscard]] std::string screen() const { return tmux("capture-pane -p"); }
    [[nodiscard]] std::vector<std::string> lines() const {
        std::vector<std::string> result;
        std::istringstream text(screen());
        for (std::string line; std::getline(text, line);)
            result.push_back(line);
        return result;
    }
    // Whether a program draws on the whole of it.
    [[nodiscard]] bool is_taken() const { return tmux("display-message -p '#{alternate_on}'") == "1\n"; }
    [[nodiscard]] bool shows(const std::string& text) const {
        return wait_until([&] { return screen().find(text) != std::string::npos; });
    }
    [[nodiscard]] bool shows_no(const std::string& text) const {
        return wait_until([&] { return screen().find(text) == std::string::npos; });
    }

private:
    static std::string tmux(const std::string& command) {
        FILE* pipe = ::popen(("tmux -u " + command).c_str(), "r"); // NOLINT: the test's own words
        std::string out;
        char buffer[4096];
        for (std::size_t got = 0; (got = ::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
            out.append(buffer, got);
        ::pclose(pipe);
        return out;
    }
};

class TopVm : public QuietGuestTest {
protected:
    void SetUp() override {
        QuietGuestTest::SetUp();
        ::setenv("LC_ALL", "C.UTF-8", 1);
        write_text(kOther,
                   "[scheduler]\nplugin = \"faulty\"\n[host]\nplugin_dirs = [\"/usr/lib/scxhost/plugins\", \"/root\"]\n"
                   "[swap]\nprobation = \"0s\"\n");
        start_host();
    }
    void TearDown() override {
        if (host_)
            end(*host_);
        QuietGuestTest::TearDown();
    }

    void start_host() {
        host_.emplace(std::vector<std::string>{"run", "--stay", "--quiet", "--json", "simple", "--set",
                                               "swap.probation=0s", "--set", "restart.delay=0s"});
        ASSERT_TRUE(host_->wait_for_event("settled")) << host_->err();
    }
    HostProcess& host() { return *host_; } // NOLINT(bugprone-unchecked-optional-access): SetUp's

    static bool kernel_runs(const std::string& prefix) {
        return wait_until([&] { return kernel_status().ops.value_or("").starts_with(prefix); });
    }

    std::optional<HostProcess> host_;
};

TEST_F(TopVm, ShowsWhatRunsAndChangesItByKeys) {
    Terminal terminal;
    terminal.enter("stty -g >/root/before; scxhost top; echo \"ended $?\"; stty -g >/root/after");
    ASSERT_TRUE(terminal.shows("> machine")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("simple 0.1.0")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("enabled: " + kernel_status().ops.value_or("?"))) << terminal.screen();
    EXPECT_TRUE(terminal.shows("queued")) << "a statistic\n" << terminal.screen();
    EXPECT_TRUE(terminal.is_taken());

    // A question, and no.
    const std::uint64_t before = kernel_status().enable_seq;
    terminal.type("p");
    EXPECT_TRUE(terminal.shows("stop machine (simple 0.1.0) and give its tasks to the kernel's own? y/n"))
        << terminal.screen();
    terminal.type("n");
    EXPECT_TRUE(terminal.shows("nothing was changed")) << terminal.screen();
    terminal.type("s");
    terminal.enter(kOther);
    EXPECT_TRUE(terminal.shows("swap machine from simple 0.1.0 to /root/other.toml? y/n")) << terminal.screen();
    terminal.key("Escape");
    EXPECT_TRUE(terminal.shows_no("y/n"));
    EXPECT_EQ(kernel_status().enable_seq, before);
    expect_runs("simple");

    // The same, and yes: a file, then a plugin by the first letters of its name.
    terminal.type("s");
    terminal.enter(kOther);
    EXPECT_TRUE(terminal.shows("y/n")) << terminal.screen();
    terminal.type("y");
    EXPECT_TRUE(kernel_runs("faulty_"));
    EXPECT_TRUE(terminal.shows("> machine faulty")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("swap machine to /root/other.toml: simple 0.1.0 -> faulty")) << terminal.screen();
    EXPECT_THAT(terminal.screen(), HasSubstr(": good, gap "));
    terminal.type("s");
    EXPECT_TRUE(terminal.shows("(what the configuration says)")) << terminal.screen();
    terminal.enter("sim");
    EXPECT_TRUE(terminal.shows("to simple? y/n")) << terminal.screen();
    terminal.type("y");
    EXPECT_TRUE(kernel_runs("simple_"));
    EXPECT_TRUE(terminal.shows("> machine simple")) << terminal.screen();

    // An error is shown.
    terminal.type("s");
    terminal.enter("smple");
    terminal.type("y");
    EXPECT_TRUE(terminal.shows("smple: simple 0.1.0 -> smple: refused: there is no")) << terminal.screen();
    expect_runs("simple");

    terminal.type("p");
    terminal.type("y");
    EXPECT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
    EXPECT_TRUE(terminal.shows("> machine -")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("stopped")) << terminal.screen();
    terminal.type("r");
    EXPECT_TRUE(terminal.shows("resume machine")) << terminal.screen();
    terminal.type("y");
    EXPECT_TRUE(kernel_runs("simple_"));
    EXPECT_TRUE(terminal.shows("> machine simple")) << terminal.screen();

    // It stops and goes on as the shell says.
    terminal.key("C-z");
    EXPECT_TRUE(wait_until([&] { return !terminal.is_taken(); })) << terminal.screen();
    terminal.enter("fg");
    EXPECT_TRUE(wait_until([&] { return terminal.is_taken(); })) << terminal.screen();
    EXPECT_TRUE(terminal.shows("> machine simple")) << terminal.screen();

    terminal.type("q");
    EXPECT_TRUE(terminal.shows("ended ")) << terminal.screen();
    EXPECT_FALSE(terminal.is_taken());
    terminal.enter("echo do''ne");
    EXPECT_TRUE(terminal.shows("\ndone\n")) << "what is typed is shown again\n" << terminal.screen();
    EXPECT_EQ(read_text("/root/before"), read_text("/root/after"));
}

TEST_F(TopVm, FollowsTheTerminalsSizeAndTheHostsEnd) {
    Terminal terminal;
    terminal.enter("scxhost top; echo \"ended $?\"");
    ASSERT_TRUE(terminal.shows("> machine simple")) << terminal.screen();
    EXPECT_EQ(terminal.lines().back(), "s swap  p stop  r resume  j/k seat  e events  ? help  q quit");
    terminal.resize(200, 50);
    EXPECT_TRUE(terminal.shows("CGROUP")) << terminal.screen();
    EXPECT_EQ(terminal.lines().size(), 50U);
    terminal.resize(60, 15);
    EXPECT_TRUE(terminal.shows_no("TASKS")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("SINCE")) << terminal.screen();
    EXPECT_EQ(terminal.lines().size(), 15U);
    terminal.resize(30, 8);
    EXPECT_TRUE(terminal.shows("needs 40x10")) << terminal.screen();
    terminal.resize(80, 24);
    EXPECT_TRUE(terminal.shows("CPUS")) << terminal.screen();

    host().signal(SIGKILL);
    EXPECT_TRUE(terminal.shows("No host answers")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("the host is gone: the host has ended")) << terminal.screen();
    terminal.type("p");
    EXPECT_TRUE(terminal.shows("there is no host to ask")) << terminal.screen();
    EXPECT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
    start_host();
    EXPECT_TRUE(terminal.shows("> machine simple")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("a host answers again")) << terminal.screen();
    // Ctrl-C is an end like another.
    terminal.key("C-c");
    EXPECT_TRUE(terminal.shows("ended 0")) << terminal.screen();
    EXPECT_FALSE(terminal.is_taken());
}

TEST_F(TopVm, WhoMayOnlyLookSeesAllAndIsRefused) {
    ASSERT_EQ(::chmod(kSocket, 0666), 0);
    Terminal terminal;
    terminal.enter("su -s /bin/sh nobody -c \"scxhost top\"; echo \"ended $?\"");
    ASSERT_TRUE(terminal.shows("> machine simple")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("queued")) << terminal.screen();
    terminal.type("p");
    terminal.type("y");
    EXPECT_TRUE(terminal.shows("user 65534 may look, but not stop")) << terminal.screen();
    expect_runs("simple");
    terminal.type("q");
    EXPECT_TRUE(terminal.shows("ended 0")) << terminal.screen();
}

TEST_F(TopVm, ABranchIsLookedAtAndChanged) {
    SCX_SKIP_WITHOUT("sub-capabilities");
    end(host());
    write_text("/root/tree.toml", "[scheduler]\nplugin = \"trunk\"\n[restart]\ndelay = \"0s\"\n"
                                  "[[below]]\ncgroup = \"/games\"\ncreate = true\nplugin = \"simple\"\n"
                                  "probation = \"0s\"\n");
    host_.emplace(std::vector<std::string>{"run", "--stay", "--quiet", "--json", "/root/tree.toml"});
    ASSERT_TRUE(host_->wait_for_event("enabled")) << host_->err();
    Terminal terminal;
    terminal.enter("scxhost top");
    ASSERT_TRUE(terminal.shows("    games simple 0.1.0")) << terminal.screen();
    terminal.type("j");
    EXPECT_TRUE(terminal.shows(">   games simple 0.1.0")) << terminal.screen();
    terminal.type("s");
    terminal.enter("qmap");
    EXPECT_TRUE(terminal.shows("swap games from simple 0.1.0 to qmap? y/n")) << terminal.screen();
    terminal.type("y");
    EXPECT_TRUE(terminal.shows(">   games qmap 0.1.0")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("swap games to qmap: simple 0.1.0 -> qmap 0.1.0: good")) << terminal.screen();
    terminal.type("p");
    EXPECT_TRUE(terminal.shows("(qmap 0.1.0) and give its tasks to the scheduler above? y/n")) << terminal.screen();
    terminal.type("y");
    EXPECT_TRUE(terminal.shows(">   games - ")) << terminal.screen();
    terminal.type("r");
    terminal.type("y");
    EXPECT_TRUE(terminal.shows(">   games qmap 0.1.0")) << terminal.screen();
    EXPECT_TRUE(kernel_runs("trunk_"));
    terminal.type("q");
    EXPECT_TRUE(wait_until([&] { return !terminal.is_taken(); })) << terminal.screen();
}

TEST_F(TopVm, TerminalsThatCanLess) {
    Terminal terminal;
    terminal.enter("TERM=vt100 LC_ALL=C scxhost top; echo \"ended $?\"");
    ASSERT_TRUE(terminal.shows("> machine simple")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("queued")) << terminal.screen();
    EXPECT_EQ(terminal.screen().find_first_of("\302\342\303"), std::string::npos) << "ASCII alone\n"
                                                                                  << terminal.screen();
    terminal.type("q");
    EXPECT_TRUE(terminal.shows("ended 0")) << terminal.screen();
    terminal.enter("clear; TERM=dumb scxhost top; echo \"ended $?\"");
    EXPECT_TRUE(terminal.shows("ended 3")) << terminal.screen();
    EXPECT_THAT(terminal.screen(), HasSubstr("the terminal dumb cannot place text on a screen"));
    EXPECT_THAT(terminal.screen(), HasSubstr("use scxhost status"));
    terminal.enter("clear; TERM=no-such scxhost top; echo \"ended $?\"");
    EXPECT_TRUE(terminal.shows("the terminal no-such is not known here")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("ended 3")) << terminal.screen();

    HostProcess piped({"top"});
    EXPECT_EQ(piped.wait(), 3);
    EXPECT_THAT(piped.err(), HasSubstr("needs a terminal"));
    HostProcess once({"top", "--once"});
    EXPECT_EQ(once.wait(), 0) << once.err();
    EXPECT_THAT(once.out(), HasSubstr("> machine simple 0.1.0"));
    EXPECT_THAT(once.out(), HasSubstr("queued"));
    EXPECT_THAT(once.out(), Not(HasSubstr("\033")));
}

} // namespace
} // namespace scxhost
