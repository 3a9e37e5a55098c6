// SPDX-License-Identifier: GPL-2.0-only
//
// Preflight on a tree of ordinary files and a small BTF.
#include "host/kernel/kernel_release.hpp"
#include "host/kernel/preflight.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/btf_builder.hpp"

#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <thread>

namespace scxhost {
namespace {

using testing::HasSubstr;
using Outcome = PreflightItem::Outcome;

class PreflightTest : public testing::Test {
protected:
    void write_sysfs(const char* state, const char* ops) const {
        dir_.write("sched_ext/state", std::string(state) + "\n");
        if (ops)
            dir_.write("sched_ext/root/ops", std::string(ops) + "\n");
    }
    // A kernel that has what came with the minimum release, or one that has not.
    static void fill(BtfBuilder& b, bool new_enough) {
        if (new_enough)
            b.kfunc("scx_bpf_select_cpu_and", {});
        b.kfunc("scx_bpf_dsq_insert", {});
        btf__add_struct(b.btf_, "sched_ext_ops", 4);
        btf__add_field(b.btf_, "priv", b.int_, 0, 0);
    }
    void write_btf(const BtfBuilder& b) const {
        __u32 size = 0;
        const void* bytes = btf__raw_data(b.btf_, &size);
        dir_.write("btf", {static_cast<const char*>(bytes), size});
    }
    static const PreflightItem& item(const PreflightReport& report, std::string_view name) {
        for (const PreflightItem& candidate : report.items)
            if (candidate.name == name)
                return candidate;
        ADD_FAILURE() << "no item " << name;
        return report.items.front();
    }

    TempDir dir_;
    const PreflightPaths paths_ = {.btf = dir_.path() / "btf",
                                   .sched_ext = dir_.path() / "sched_ext",
                                   .jit = dir_.path() / "jit",
                                   .command_line = dir_.path() / "cmdline",
                                   .isolated_cpus = dir_.path() / "isolated"};
};

TEST_F(PreflightTest, NothingThere) {
    const PreflightReport report = preflight_report(paths_);
    EXPECT_EQ(item(report, "type information (BTF)").outcome, Outcome::kFailed);
    EXPECT_EQ(item(report, "sched_ext").outcome, Outcome::kFailed);
    EXPECT_EQ(item(report, "minimum kernel").outcome, Outcome::kNotChecked);
    EXPECT_EQ(item(report, "no other scheduler").outcome, Outcome::kNotChecked);
    EXPECT_FALSE(item(report, "no other scheduler").reason.empty());
    EXPECT_FALSE(report.btf);
    const auto result = preflight(paths_);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().what, HasSubstr("BTF"));
}

TEST_F(PreflightTest, BtfComesBeforeSchedExt) {
    BtfBuilder b;
    fill(b, true);
    write_btf(b);
    const auto result = preflight(paths_);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(result.error().what, HasSubstr("without sched_ext"));
    EXPECT_THAT(result.error().hint, HasSubstr("CONFIG_SCHED_CLASS_EXT"));
    EXPECT_THAT(result.error().hint, HasSubstr("Debian"));
}

TEST_F(PreflightTest, OldKernelIsNamedWithItsReason) {
    BtfBuilder b;
    fill(b, false);
    const auto result = check_minimum_kernel(b.build(), "6.14.0-test");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(result.error().what, HasSubstr("6.14.0-test"));
    EXPECT_THAT(result.error().what, HasSubstr("scx_bpf_select_cpu_and"));
    EXPECT_THAT(result.error().what, HasSubstr(SCXHOST_MINIMUM_KERNEL));
}

TEST_F(PreflightTest, FeaturesDecideAndNotTheNumber) {
    BtfBuilder b;
    fill(b, true);
    EXPECT_TRUE(check_minimum_kernel(b.build(), "6.12.0-with-backports"));
}

TEST_F(PreflightTest, MinimumIsAnAbsenceAndNotADefect) {
    BtfBuilder b;
    fill(b, false);
    b.func("scx_bpf_select_cpu_and", {{"aux", b.aux_ptr_}});
    EXPECT_TRUE(check_minimum_kernel(b.build(), "7.1"));
}

TEST_F(PreflightTest, Jit) {
    EXPECT_TRUE(check_jit(dir_.path() / "absent"));
    dir_.write("jit", "1\n");
    EXPECT_TRUE(check_jit(paths_.jit));
    dir_.write("jit", "2\n");
    EXPECT_TRUE(check_jit(paths_.jit));
    dir_.write("jit", "0\n");
    const auto result = check_jit(paths_.jit);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(result.error().hint, HasSubstr("bpf_jit_enable=1"));
}

TEST_F(PreflightTest, OnlyIsolationOfDomainsAtBootIsAnObstacle) {
    const struct {
        const char* command_line;
        const char* isolated;
        bool is_obstacle;
    } cases[] = {
        {"root=/dev/vda quiet", "", false},
        {"root=/dev/vda quiet", "2-3", false}, // a cpuset partition
        {"quiet isolcpus=2-3 nohz_full=2-3", "2-3", true},
        {"isolcpus=domain,2-3", "2-3", true},
        {"isolcpus=nohz,domain,managed_irq,2-3", "2-3", true},
        {"isolcpus=nohz,2-3", "", false},
        {"isolcpus=managed_irq,2-3", "2-3", false}, // and a cpuset partition
        {"isolcpus=unknown,2-3", "2-3", true},
        {"isolcpus=64", "", false}, // which this machine does not have
        {"quiet -- isolcpus=2", "2", false},
        {"notisolcpus=2", "2", false},
    };
    for (const auto& test : cases) {
        dir_.write("cmdline", std::string(test.command_line) + "\n");
        dir_.write("isolated", std::string(test.isolated) + "\n");
        const auto result = check_domain_isolation(paths_.command_line, paths_.isolated_cpus);
        EXPECT_EQ(result.has_value(), !test.is_obstacle) << test.command_line;
        if (!result) {
            EXPECT_EQ(result.error().kind, ErrorKind::kUnsupported);
            EXPECT_THAT(result.error().what, HasSubstr("isolcpus=, CPUs 2-3"));
            EXPECT_THAT(result.error().hint, HasSubstr("cpuset.cpus.partition"));
        }
    }
    EXPECT_TRUE(check_domain_isolation(dir_.path() / "none", dir_.path() / "none"));
}

TEST_F(PreflightTest, CapabilitiesAreNamed) {
    EXPECT_TRUE(check_capabilities({}));
    const auto result = check_capabilities({"CAP_BPF", "CAP_PERFMON"});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kPermission);
    EXPECT_THAT(result.error().what, HasSubstr("CAP_BPF and CAP_PERFMON"));
}

TEST_F(PreflightTest, DroppedCapabilitiesAreMissing) {
    std::vector<std::string> missing;
    // Capabilities belong to a thread, so this one can give up its own.
    std::thread([&missing] {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
        ASSERT_EQ(::syscall(SYS_capset, &header, none), 0);
        missing = missing_capabilities();
    }).join();
    EXPECT_EQ(missing, (std::vector<std::string>{"CAP_BPF", "CAP_PERFMON"}));
}

TEST_F(PreflightTest, OtherSchedulerIsNamed) {
    const struct {
        const char* state;
        const char* ops;
        bool is_free;
        const char* text;
    } cases[] = {
        {"disabled", nullptr, true, ""},
        {"disabling", "old", true, ""},
        {"enabled", "other_1a2b", false, "\"other_1a2b\""},
        {"enabling", nullptr, false, "enabling"},
        {"paused", "odd", false, "\"odd\""},
    };
    for (const auto& [state, ops, is_free, text] : cases) {
        SCOPED_TRACE(state);
        std::filesystem::remove_all(paths_.sched_ext);
        write_sysfs(state, ops);
        const auto result = check_no_scheduler(SchedExtSysfs(paths_.sched_ext));
        EXPECT_EQ(result.has_value(), is_free);
        if (!result) {
            EXPECT_EQ(result.error().kind, ErrorKind::kBusy);
            EXPECT_THAT(result.error().what, HasSubstr(text));
        }
    }
}

TEST_F(PreflightTest, ReadyMachineYieldsItsBtf) {
    if (!missing_capabilities().empty())
        GTEST_SKIP() << "needs CAP_BPF and CAP_PERFMON";
    BtfBuilder b;
    fill(b, true);
    write_btf(b);
    write_sysfs("disabled", nullptr);
    const auto btf = preflight(paths_);
    ASSERT_TRUE(btf) << btf.error().what;
    EXPECT_TRUE(btf->has_kfunc("scx_bpf_dsq_insert"));
}

TEST_F(PreflightTest, ReleaseIsTheKernels) {
    std::ifstream file("/proc/sys/kernel/osrelease");
    std::string expected;
    std::getline(file, expected);
    EXPECT_EQ(kernel_release(), expected);
}

} // namespace
} // namespace scxhost
