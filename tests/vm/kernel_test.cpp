// SPDX-License-Identifier: GPL-2.0-only
//
// host/kernel against the kernel that really runs: what it says it can do is compared with what it does. Runs as root
// in a guest, on every kernel of kernels.list, with the policy `simple` as the scheduler that comes and goes.
#include "host/cli/info.hpp"
#include "host/kernel/features.hpp"
#include "host/kernel/kernel_release.hpp"
#include "host/kernel/preflight.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"
#include "host/kernel/uevent_monitor.hpp"
#include "host/supervisor/prepared_scheduler.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Where a package puts it, and so does the guest.
constexpr const char* kObject = "/usr/lib/scxhost/plugins/simple.bpf.o";
constexpr auto kDeadline = 30s;

// "7.3.4+deb13" and "7.3" to {7, 3}.
std::pair<int, int> series(std::string_view release) {
    std::pair<int, int> result;
    const char* end = release.data() + release.size();
    const char* dot = std::from_chars(release.data(), end, result.first).ptr;
    if (dot != end)
        std::from_chars(dot + 1, end, result.second);
    return result;
}

KernelBtf load_btf() {
    auto btf = KernelBtf::load();
    EXPECT_TRUE(btf) << btf.error().what;
    return *std::move(btf);
}

SchedExtStatus snapshot() {
    auto status = SchedExtSysfs().snapshot();
    EXPECT_TRUE(status) << status.error().what;
    return *std::move(status);
}

// `simple`, bound to its defaults and fitted to this kernel, not loaded.
std::unique_ptr<PreparedScheduler> open_simple(const KernelBtf& btf) {
    auto scheduler = PreparedScheduler::open_file(kObject);
    if (!scheduler)
        throw std::runtime_error(scheduler.error().what);
    const auto bound = (*scheduler)->bind_options(Config{}, &btf);
    EXPECT_TRUE(bound) << bound.error().what;
    const auto fitted = (*scheduler)->fit(btf);
    EXPECT_TRUE(fitted) << fitted.error().what;
    return *std::move(scheduler);
}

// Events until `count` have come, or the deadline.
std::vector<SchedExtUevent> wait_for_events(UeventMonitor& monitor, std::size_t count) {
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    std::vector<SchedExtUevent> events;
    while (events.size() < count && std::chrono::steady_clock::now() < end) {
        pollfd waiting = {.fd = monitor.fd(), .events = POLLIN, .revents = 0};
        ::poll(&waiting, 1, 100);
        auto batch = monitor.drain();
        if (!batch) {
            ADD_FAILURE() << batch.error().what;
            break;
        }
        EXPECT_FALSE(batch->lost);
        events.insert(events.end(), batch->events.begin(), batch->events.end());
    }
    return events;
}

// Runs `body` in a thread that has only these capabilities; they belong to a thread.
void with_capabilities(std::initializer_list<unsigned> capabilities, const std::function<void()>& body) {
    std::thread([&] {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
        for (const unsigned capability : capabilities) {
            data[capability / 32].effective |= 1U << capability % 32;
            data[capability / 32].permitted |= 1U << capability % 32;
        }
        ASSERT_EQ(::syscall(SYS_capset, &header, data), 0);
        body();
    }).join();
}

// Reads and restores a file of one line.
class SavedFile {
public:
    explicit SavedFile(const char* path)
        : path_(path) {
        std::getline(std::ifstream(path), saved_);
    }
    ~SavedFile() { write(saved_); }
    void write(const std::string& text) { std::ofstream(path_) << text << std::flush; }
    [[nodiscard]] const std::string& saved() const { return saved_; }

private:
    std::string path_;
    std::string saved_;
};

TEST(KernelBtfVm, FeatureTableTellsTheTruthAboutReleases) {
    const KernelBtf btf = load_btf();
    const auto running = series(kernel_release());
    for (const FeatureState& state : probe_features(btf)) {
        const Feature& feature = *state.feature;
        const bool expected = (feature.since.empty() || running >= series(feature.since)) &&
                              (feature.until.empty() || running <= series(feature.until));
        EXPECT_EQ(state.availability != Availability::kAbsent, expected)
            << feature.key << " is said to be in " << kernels_with(feature) << " and is "
            << to_string(state.availability) << " in " << kernel_release();
    }
}

TEST(KernelBtfVm, AnswersAreTheKernels) {
    const KernelBtf btf = load_btf();
    EXPECT_EQ(btf.enumerator("SCX_EXIT_UNREG"), 64U);
    EXPECT_EQ(btf.enumerator("SCX_EXIT_ERROR"), 1024U);
    EXPECT_EQ(btf.enumerator("SCX_DSQ_LOCAL_ON"), 0xc000000000000000U);
    EXPECT_TRUE(btf.has_member("sched_ext_ops", "select_cpu"));
    EXPECT_TRUE(btf.has_member("task_struct", "scx"));
    EXPECT_FALSE(btf.has_kfunc("schedule"));
    EXPECT_TRUE(btf.has_func("schedule"));
    const auto members = btf.struct_members("sched_ext_ops");
    EXPECT_THAT(members, testing::IsSupersetOf({"enqueue", "dispatch", "init", "exit", "flags", "name"}));
}

TEST(KernelBtfVm, FlagsAddUpToWhatTheKernelAccepts) {
    const KernelInfo info = gather_kernel_info("test");
    std::uint64_t all = 0;
    for (const auto& [name, value] : info.ops_flags)
        all |= value;
    EXPECT_EQ(all, load_btf().enumerator("SCX_OPS_ALL_FLAGS"));
}

// What the verifier says to a program that calls the kfunc and does nothing else. It resolves calls before it looks at
// arguments.
std::string verifier_on_call(const KernelBtf& btf, const std::string& kfunc) {
    const struct btf* types = btf.raw();
    const auto members = btf.struct_members("sched_ext_ops");
    const auto init = std::ranges::find(members, "init") - members.begin();
    const bpf_insn program[] = {
        {.code = BPF_JMP | BPF_CALL,
         .dst_reg = 0,
         .src_reg = BPF_PSEUDO_KFUNC_CALL,
         .off = 0,
         .imm = btf__find_by_name_kind(types, kfunc.c_str(), BTF_KIND_FUNC)},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    std::string log(4096, '\0');
    bpf_prog_load_opts options = {};
    options.sz = sizeof(options);
    options.attach_btf_id = static_cast<__u32>(btf__find_by_name_kind(types, "sched_ext_ops", BTF_KIND_STRUCT));
    options.expected_attach_type = static_cast<bpf_attach_type>(init);
    options.prog_flags = BPF_F_SLEEPABLE;
    options.log_level = 1;
    options.log_buf = log.data();
    options.log_size = static_cast<__u32>(log.size());
    const UniqueFd loaded(
        bpf_prog_load(BPF_PROG_TYPE_STRUCT_OPS, "probe", "GPL", program, std::size(program), &options));
    return log.c_str();
}

TEST(KernelBtfVm, MalformedIsWhatTheVerifierCannotResolve) {
    const KernelBtf btf = load_btf();
    std::vector<std::string> unresolved;
    int asked = 0;
    for (__u32 id = 1; id < btf__type_cnt(btf.raw()); ++id) {
        const struct btf_type* type = btf__type_by_id(btf.raw(), id);
        const std::string name = btf__name_by_offset(btf.raw(), type->name_off);
        if (!btf_is_func(type) || !btf.has_kfunc(name) || name.find("scx_") == std::string::npos)
            continue;
        ++asked;
        const std::string answer = verifier_on_call(btf, name);
        EXPECT_FALSE(answer.empty()) << name;
        if (answer.find("cannot find function " + name + "_impl in BTF") != std::string::npos)
            unresolved.push_back(name);
    }
    EXPECT_GT(asked, 40);
    std::vector<std::string> malformed;
    for (const MalformedKfunc& kfunc : btf.malformed_kfuncs())
        malformed.push_back(kfunc.name);
    EXPECT_THAT(malformed, testing::UnorderedElementsAreArray(unresolved));
}

TEST(KernelBtfVm, PolicySaysWhatItDoesWithout) {
    const KernelBtf btf = load_btf();
    const auto scheduler = open_simple(btf);
    // The second is the name of a kfunc and not a flavour of the shorter one.
    for (const char* name : {"scx_bpf_create_dsq", "scx_bpf_dsq_insert___v2"})
        EXPECT_THAT(scheduler->object().kfuncs(),
                    testing::Contains(testing::Field(&SchedulerObject::KfuncUse::name, name)));
    const bool told = std::ranges::any_of(scheduler->notes(), [](const std::string& note) {
        return note.find("scx_bpf_create_dsq") != std::string::npos &&
               note.find("malformed in this kernel's BTF") != std::string::npos;
    });
    EXPECT_EQ(told, btf.malformed_kfunc("scx_bpf_create_dsq").has_value());
}

TEST(SchedExtVm, ComingAndGoingShowsInSysfsAndEvents) {
    auto monitor = UeventMonitor::open();
    ASSERT_TRUE(monitor) << monitor.error().what;
    const SchedExtStatus before = snapshot();
    ASSERT_EQ(before.state, SchedExtState::kDisabled);
    EXPECT_EQ(before.ops, std::nullopt);

    const KernelBtf btf = load_btf();
    const auto scheduler = open_simple(btf);
    const auto loaded = scheduler->load();
    ASSERT_TRUE(loaded) << loaded.error().what << '\n' << loaded.error().detail;
    auto attachment = scheduler->object().attach();
    ASSERT_TRUE(attachment) << attachment.error().what;

    const SchedExtStatus running = snapshot();
    EXPECT_EQ(running.state, SchedExtState::kEnabled);
    EXPECT_EQ(running.state_text, "enabled");
    EXPECT_EQ(running.ops, scheduler->object().ops_name());
    EXPECT_EQ(running.enable_seq, before.enable_seq + 1);
    EXPECT_EQ(running.hotplug_seq, before.hotplug_seq);
    EXPECT_TRUE(running.switch_all);
    EXPECT_TRUE(running.events.contains("SCX_EV_BYPASS_DURATION"));

    const auto taken = preflight();
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().kind, ErrorKind::kBusy);
    EXPECT_THAT(taken.error().what, HasSubstr(scheduler->object().ops_name()));

    const auto detached = attachment->detach();
    EXPECT_TRUE(detached) << detached.error().what;
    const SchedExtStatus after = snapshot();
    EXPECT_EQ(after.state, SchedExtState::kDisabled);
    EXPECT_EQ(after.ops, std::nullopt);
    EXPECT_EQ(after.enable_seq, before.enable_seq + 1);

    const auto events = wait_for_events(*monitor, 2);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].action, SchedExtUevent::Action::kAdded);
    EXPECT_EQ(events[1].action, SchedExtUevent::Action::kRemoved);
    const std::string& name = scheduler->object().ops_name();
    EXPECT_EQ(events[0].ops, name);
    EXPECT_EQ(events[1].ops, series(kernel_release()) < std::pair(7, 0) ? "" : name);
    for (const SchedExtUevent& event : events)
        EXPECT_TRUE(event.is_root());
    EXPECT_LT(events[0].seqnum, events[1].seqnum);
}

TEST(UeventMonitorVm, ForgedMessagesAreDropped) {
    auto monitor = UeventMonitor::open();
    ASSERT_TRUE(monitor) << monitor.error().what;
    sockaddr_nl address = {};
    socklen_t size = sizeof(address);
    ASSERT_EQ(::getsockname(monitor->fd(), reinterpret_cast<sockaddr*>(&address), &size), 0);

    const UniqueFd forger(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
    ASSERT_TRUE(forger);
    constexpr std::string_view kMessage("remove@/kernel/sched_ext/root\0ACTION=remove\0DEVPATH=/kernel/sched_ext/root\0"
                                        "SCXOPS=simple\0SEQNUM=1\0",
                                        102);
    ASSERT_TRUE(parse_sched_ext_uevent(kMessage)) << "else this test proves nothing";
    ASSERT_EQ(::sendto(forger.get(), kMessage.data(), kMessage.size(), 0, reinterpret_cast<sockaddr*>(&address), size),
              static_cast<ssize_t>(kMessage.size()));

    pollfd waiting = {.fd = monitor->fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&waiting, 1, std::chrono::milliseconds(kDeadline).count()), 1) << "it did not arrive";
    const auto batch = monitor->drain();
    ASSERT_TRUE(batch) << batch.error().what;
    EXPECT_TRUE(batch->events.empty());
    EXPECT_FALSE(batch->lost);
}

TEST(UeventMonitorVm, OverflowIsReportedOnce) {
    auto monitor = UeventMonitor::open();
    ASSERT_TRUE(monitor) << monitor.error().what;
    const int small = 1;
    ASSERT_EQ(::setsockopt(monitor->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    // Each write makes the kernel send an event of this device.
    for (int i = 0; i < 100; ++i)
        std::ofstream("/sys/class/mem/null/uevent") << "change" << std::flush;
    const auto first = monitor->drain();
    ASSERT_TRUE(first) << first.error().what;
    EXPECT_TRUE(first->lost);
    EXPECT_TRUE(first->events.empty());
    const auto second = monitor->drain();
    ASSERT_TRUE(second) << second.error().what;
    EXPECT_FALSE(second->lost);
}

// Preflight's word against the kernel's deed, for each set of capabilities.
TEST(PreflightVm, MissingCapabilitiesAreThoseThatLoadingNeeds) {
    const KernelBtf btf = load_btf();
    const std::initializer_list<unsigned> sets[] = {{},
                                                    {CAP_BPF},
                                                    {CAP_PERFMON},
                                                    {CAP_BPF, CAP_PERFMON},
                                                    {CAP_SYS_ADMIN},
                                                    {CAP_NET_ADMIN, CAP_SYS_RESOURCE, CAP_DAC_OVERRIDE}};
    for (const auto& set : sets) {
        std::string title = "capabilities";
        for (const unsigned capability : set)
            title += " " + std::to_string(capability);
        SCOPED_TRACE(title);
        with_capabilities(set, [&] {
            const bool ready = preflight().has_value();
            const auto scheduler = open_simple(btf);
            const auto loaded = scheduler->load();
            ASSERT_EQ(loaded.has_value(), ready);
            if (loaded) {
                auto attachment = scheduler->object().attach();
                ASSERT_TRUE(attachment) << attachment.error().what;
                EXPECT_TRUE(attachment->detach());
            } else {
                EXPECT_EQ(loaded.error().kind, ErrorKind::kPermission) << loaded.error().what;
            }
        });
    }
}

TEST(PreflightVm, JitIsNeeded) {
    SavedFile jit("/proc/sys/net/core/bpf_jit_enable");
    jit.write("0");
    std::string now;
    std::getline(std::ifstream("/proc/sys/net/core/bpf_jit_enable"), now);
    if (now != "0")
        GTEST_SKIP() << "this kernel's JIT cannot be turned off";
    const auto refused = preflight();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(refused.error().what, HasSubstr("JIT"));
    const KernelBtf btf = load_btf();
    EXPECT_FALSE(open_simple(btf)->load()) << "the check is stricter than the kernel";
}

TEST(PreflightVm, GuestIsReady) {
    const PreflightReport report = preflight_report();
    for (const PreflightItem& item : report.items)
        EXPECT_EQ(item.outcome, PreflightItem::Outcome::kPassed) << item.name << (item.error ? item.error->what : "");
    std::ostringstream out;
    info_command(out, true);
    const auto json = nlohmann::json::parse(out.str());
    EXPECT_EQ(json.at("ready"), true);
    EXPECT_EQ(json.at("sched_ext").at("state"), "disabled");
}

} // namespace
} // namespace scxhost
