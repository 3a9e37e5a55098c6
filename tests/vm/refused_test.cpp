// SPDX-License-Identifier: GPL-2.0-only
//
// Schedulers that the kernel refuses or ends without telling it by a system call or an exit record: the reason is in
// its log. Runs as root in a guest; a part in one that isolates a CPU at boot.
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/kernel_log.hpp"
#include "host/kernel/preflight.hpp"
#include "tests/vm/guest_test.hpp"
#include "tests/vm/host_process.hpp"
#include "tests/vm/live_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>

namespace scxhost {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using RefusedVm = QuietGuestTest;
using IsolatedCpusVm = QuietGuestTest;

TEST_F(RefusedVm, TheReasonIsInTheLogOfTheKernel) {
    const KernelBtf btf = KernelBtf::load().value();
    auto scheduler = PreparedScheduler::open_file("/root/lost.bpf.o").value();
    ASSERT_TRUE(scheduler->fit(btf));
    SchedulerObject& object = scheduler->object();
    ASSERT_TRUE(object.clear_ops_member("enqueue"));
    ASSERT_TRUE(object.set_ops_member("flags", btf.enumerator("SCX_OPS_ENQ_LAST").value()));
    ASSERT_TRUE(object.load());
    KernelLogMark log = KernelLogMark::open().value();
    {
        Result<Attachment> link = object.attach(); // on some kernels the system call fails, on others it does not
        ASSERT_TRUE(wait_until([] { return static_cast<bool>(on_its_own_scheduler()); }));
        EXPECT_FALSE(object.read_exit_record());
    }
    EXPECT_EQ(log.take_reason(object.ops_name()), "SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented");
    EXPECT_EQ(log.take_reason(object.ops_name()), "") << "what was read is passed";
}

TEST_F(RefusedVm, WhatWasLoggedBeforeTheMarkIsNot) {
    write_text("/dev/kmsg", "<3>sched_ext: simple: early\n");
    KernelLogMark log = KernelLogMark::open().value();
    write_text("/dev/kmsg", "<3>sched_ext: simple: now\n");
    EXPECT_EQ(log.take_reason("simple"), "now");
    write_text("/dev/kmsg", "<3>sched_ext: simple: between\n");
    log.move_to_end();
    EXPECT_EQ(log.take_reason("simple"), "");
}

// A CPU that is isolated after boot is no obstacle.
TEST_F(RefusedVm, ACpusetPartitionIsNot) {
    const std::string group = "/sys/fs/cgroup/isolated";
    write_text("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset");
    std::filesystem::create_directory(group);
    write_text(group + "/cpuset.cpus", "1");
    write_text(group + "/cpuset.cpus.partition", "isolated");
    EXPECT_EQ(read_text(group + "/cpuset.cpus.partition"), "isolated\n");
    {
        LivePolicy policy("simple");
        policy.attach();
        EXPECT_TRUE(policy.running());
    }
    remove_cgroup(group);
    write_text("/sys/fs/cgroup/cgroup.subtree_control", "-cpuset");
}

TEST_F(IsolatedCpusVm, TheObstacleIsNamedBeforeAnythingIsLoaded) {
    HostProcess host({"run", "simple"});
    EXPECT_EQ(host.wait(), 3) << host.err();
    EXPECT_THAT(host.err(), AllOf(HasSubstr("isolcpus=, CPUs 1"), HasSubstr("cpuset.cpus.partition")));
    EXPECT_EQ(host.out(), "");
}

// So the check is about what the kernel does.
TEST_F(IsolatedCpusVm, TheKernelRefusesEveryScheduler) {
    LivePolicy policy("simple");
    KernelLogMark log = KernelLogMark::open().value();
    const Result<Attached> attached = policy.try_attach();
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().sys_errno, EINVAL);
    EXPECT_EQ(log.take_reason(policy.object().ops_name()), "Not compatible with \"isolcpus=\" domain isolation");
}

} // namespace
} // namespace scxhost
