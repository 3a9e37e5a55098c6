// SPDX-License-Identifier: GPL-2.0-only
//
// The arena slab of bpf/common, driven by syscall programs (slab.bpf.c) in place of a scheduler: limits, growth, reuse,
// many threads at once, and that the self-check finds the damage that it is there for. Runs as root in a guest.
#include "slab.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

constexpr const char* kObject = "/root/slab.bpf.o";
constexpr std::uint64_t kMany = 1 << 20;

struct ObjectCloser {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};

class SlabVm : public testing::Test {
protected:
    void SetUp() override {
        object_.reset(bpf_object__open_file(kObject, nullptr));
        ASSERT_NE(object_, nullptr);
        // The skeleton form of load is how libbpf tells where the arena's globals are.
        bpf_object* object = object_.get();
        bpf_map* arena = bpf_object__find_map_by_name(object, "arena");
        void* globals = nullptr;
        bpf_map_skeleton map{};
        map.name = "arena";
        map.map = &arena;
        map.mmaped = &globals;
        bpf_object_skeleton skeleton{};
        skeleton.sz = sizeof skeleton;
        skeleton.name = "slab";
        skeleton.obj = &object;
        skeleton.map_cnt = 1;
        skeleton.map_skel_sz = sizeof map;
        skeleton.maps = &map;
        ASSERT_EQ(bpf_object__load_skeleton(&skeleton), 0);
        shared_ = static_cast<slab_shared*>(globals);
    }

    // Runs a program. Its result: 0 or a negative errno; what else it says is in `arguments`.
    int run(const char* program, slab_args& arguments) const {
        bpf_test_run_opts options{};
        options.sz = sizeof options;
        options.ctx_in = &arguments;
        options.ctx_size_in = sizeof arguments;
        const int fd = bpf_program__fd(bpf_object__find_program_by_name(object_.get(), program));
        EXPECT_EQ(bpf_prog_test_run_opts(fd, &options), 0) << program;
        return static_cast<int>(options.retval);
    }
    int init(std::uint64_t max) const {
        slab_args arguments{};
        arguments.max = max;
        return run("slab_init", arguments);
    }
    int take(std::uint64_t count, std::uint64_t* done = nullptr, std::uint64_t thread = 0) const {
        slab_args arguments{};
        arguments.thread = thread;
        arguments.count = count;
        const int result = run("slab_take", arguments);
        if (done != nullptr)
            *done = arguments.done;
        return result;
    }
    int give(std::uint64_t count, std::uint64_t thread = 0) const {
        slab_args arguments{};
        arguments.thread = thread;
        arguments.count = count;
        return run("slab_give", arguments);
    }
    int check(scx_slab_report* report = nullptr) const {
        slab_args arguments{};
        const int result = run("slab_check", arguments);
        if (report != nullptr)
            *report = arguments.report;
        return result;
    }
    const scx_slab& slab() const { return shared_->slab; }

    template <typename Work>
    static void on_cpu(int cpu, Work work) {
        std::thread([&] {
            cpu_set_t cpus;
            CPU_ZERO(&cpus);
            CPU_SET(static_cast<unsigned>(cpu), &cpus);
            ASSERT_EQ(::sched_setaffinity(0, sizeof cpus, &cpus), 0);
            work();
        }).join();
    }
    template <typename Condition>
    static bool becomes_true(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        while (!condition() && std::chrono::steady_clock::now() < deadline)
            std::this_thread::yield();
        return condition();
    }

    std::unique_ptr<bpf_object, ObjectCloser> object_;
    slab_shared* shared_ = nullptr;
};

TEST_F(SlabVm, HandsOutAsManyAsItMayAndTakesThemBack) {
    ASSERT_EQ(init(100), 0);
    std::uint64_t done = 0;
    EXPECT_EQ(take(150, &done), -ENOSPC);
    EXPECT_EQ(done, 100U);
    EXPECT_EQ(slab().in_use, 100U);
    EXPECT_EQ(slab().high_water, 100U);
    EXPECT_EQ(check(), 0);

    EXPECT_EQ(give(kMany), 0);
    EXPECT_EQ(slab().in_use, 0U);
    EXPECT_EQ(slab().high_water, 100U);
    EXPECT_EQ(check(), 0);
    EXPECT_EQ(take(100), 0); // the same ones: nothing was lost
    EXPECT_EQ(check(), 0);
}

TEST_F(SlabVm, MemoryFollowsTheEntriesInUseNotTheLimit) {
    ASSERT_EQ(init(4 << 20), 0);
    const std::uint64_t at_first = slab().pages;
    EXPECT_LE(at_first, 8U);
    EXPECT_EQ(take(100'000), 0);
    // 32 bytes each, and a step too much at most.
    EXPECT_GE(slab().pages, 100'000U * 32 / 4096);
    EXPECT_LE(slab().pages, 100'000U * 32 / 4096 + 16);
    EXPECT_EQ(check(), 0);
    const std::uint64_t pages = slab().pages;
    EXPECT_EQ(give(kMany), 0);
    EXPECT_EQ(take(100'000), 0);
    EXPECT_EQ(slab().pages, pages); // used again, not allocated again
    EXPECT_EQ(check(), 0);
}

TEST_F(SlabVm, InitEmptiesASlabThatWasInUse) {
    ASSERT_EQ(init(50'000), 0);
    ASSERT_EQ(take(40'000), 0);
    const std::uint64_t pages = slab().pages;

    ASSERT_EQ(init(1000), 0);
    EXPECT_EQ(slab().in_use, 0U);
    EXPECT_EQ(slab().high_water, 0U);
    std::uint64_t done = 0;
    EXPECT_EQ(take(1500, &done), -ENOSPC);
    EXPECT_EQ(done, 1000U);
    EXPECT_EQ(slab().pages, pages);
    scx_slab_report report{};
    EXPECT_EQ(check(&report), 0);
    EXPECT_EQ(report.taken, 1000U);
}

TEST_F(SlabVm, ThreadsOnAllCpusLoseAndDoubleNothing) {
    constexpr std::uint64_t limit = 3000; // less than the threads want at times
    constexpr int threads = 8;
    constexpr int rounds = 300;
    ASSERT_EQ(init(limit), 0);
    std::atomic<int> unexpected = 0;
    std::vector<std::thread> workers;
    for (int thread = 0; thread < threads; ++thread)
        workers.emplace_back([&, thread] {
            std::minstd_rand random(static_cast<unsigned>(thread) + 1);
            for (int round = 0; round < rounds; ++round) {
                if (const int error = take(random() % 800, nullptr, static_cast<std::uint64_t>(thread));
                    error != 0 && error != -ENOSPC)
                    ++unexpected;
                if (give(random() % 800, static_cast<std::uint64_t>(thread)) != 0)
                    ++unexpected;
                cpu_set_t cpus;
                CPU_ZERO(&cpus);
                CPU_SET(random() % static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN)), &cpus);
                ::sched_setaffinity(0, sizeof cpus, &cpus);
            }
        });
    // Meanwhile, a check that says something at all says that all is well.
    int checks = 0;
    for (int i = 0; i < 50; ++i) {
        const int result = check();
        EXPECT_TRUE(result == 0 || result == -EAGAIN) << result;
        checks += result == 0;
    }
    for (std::thread& worker : workers)
        worker.join();
    RecordProperty("undisturbed_checks", checks);
    EXPECT_EQ(unexpected, 0);
    EXPECT_LE(slab().high_water, limit);

    for (std::uint64_t thread = 0; thread < threads; ++thread)
        EXPECT_EQ(give(kMany, thread), 0);
    scx_slab_report report{};
    EXPECT_EQ(check(&report), 0);
    EXPECT_EQ(report.taken, 0U);
    EXPECT_EQ(slab().in_use, 0U);
    std::uint64_t done = 0;
    EXPECT_EQ(take(kMany, &done), -ENOSPC);
    EXPECT_EQ(done, limit);
}

// Without the lock, entries are set aside, and nothing is lost; how long a CPU waits for it is the kernel's
// affair.
TEST_F(SlabVm, EntriesGivenWhileTheLockIsHeldAreNotLost) {
    ASSERT_EQ(init(5000), 0);
    ASSERT_EQ(take(300), 0);
    std::thread holder([&] {
        slab_args arguments{};
        EXPECT_EQ(run("slab_hold_lock", arguments), 0);
    });
    EXPECT_TRUE(becomes_true([this] { return __atomic_load_n(&shared_->lock_held, __ATOMIC_ACQUIRE) != 0; }));
    EXPECT_EQ(give(200), 0);
    __atomic_store_n(&shared_->let_go, 1U, __ATOMIC_RELEASE);
    holder.join();
    EXPECT_EQ(slab().in_use, 100U);
    EXPECT_EQ(check(), 0);
    std::uint64_t done = 0;
    EXPECT_EQ(take(kMany, &done), -ENOSPC);
    EXPECT_EQ(done, 4900U);
}

// A CPU that gives and never takes would otherwise collect them, and others would have to ask for memory.
TEST_F(SlabVm, WhatIsLeftOverWithoutTheLockDoesNotStayWithItsCpu) {
    ASSERT_EQ(init(320), 0);
    on_cpu(0, [this] {
        EXPECT_EQ(take(320), 0);
        shared_->lock_script = SLAB_LOCK_REFUSE;
        EXPECT_EQ(give(256), 0);
        shared_->lock_script = SLAB_LOCK_REAL;
    });
    EXPECT_GT(slab().lock_retries, 0U);
    scx_slab_report report{};
    EXPECT_EQ(check(&report), 0);
    EXPECT_LE(report.cached, 64U) << "a CPU keeps two batches";
    EXPECT_EQ(report.cached + report.shared, 256U);
    const std::uint64_t pages = slab().pages;
    on_cpu(1, [this] { EXPECT_EQ(take(256 - 64), 0); });
    EXPECT_EQ(slab().pages, pages);
    EXPECT_EQ(slab().aside, nullptr) << "those that were not needed at once went to the shared list";
    EXPECT_EQ(check(), 0);
}

// The last free entry is not kept from others by a request that waits for the lock and then gets nothing.
TEST_F(SlabVm, RequestThatGetsNoEntryTakesNoPlace) {
    ASSERT_EQ(init(2), 0);
    on_cpu(0, [this] { EXPECT_EQ(take(1), 0); }); // brings a batch to this CPU
    shared_->lock_script = SLAB_LOCK_WAIT;
    int waited = 0;
    std::thread waiter([&] { on_cpu(1, [&] { waited = take(1, nullptr, 1); }); });
    EXPECT_TRUE(becomes_true([this] { return __atomic_load_n(&shared_->waiting, __ATOMIC_ACQUIRE) != 0; }));
    on_cpu(0, [this] { EXPECT_EQ(take(1), 0) << "one of two is in use"; });
    EXPECT_EQ(slab().in_use, 2U);
    __atomic_store_n(&shared_->let_go, 1U, __ATOMIC_RELEASE);
    waiter.join();
    EXPECT_EQ(waited, -ENOSPC);
    EXPECT_EQ(slab().in_use, 2U);
    EXPECT_EQ(slab().high_water, 2U);
    EXPECT_EQ(check(), 0);
}

// The guest has no source of NMIs that could be aimed: a program plays the part of what one would interrupt.
TEST_F(SlabVm, EntryGivenInAnNmiIsSetAsideAndUsedAgain) {
    ASSERT_EQ(init(64), 0);
    on_cpu(0, [this] {
        ASSERT_EQ(take(64), 0); // whole batches: the CPU has nothing left
        slab_args arguments{};
        for (int i = 0; i < 3; ++i)
            ASSERT_EQ(run("slab_give_nested", arguments), 0);
        EXPECT_EQ(slab().in_use, 61U);
        scx_slab_report report{};
        EXPECT_EQ(check(&report), 0);
        EXPECT_EQ(report.shared, 3U);
        EXPECT_NE(slab().aside, nullptr);
        EXPECT_EQ(take(3), 0);
    });
    EXPECT_EQ(slab().aside, nullptr);
    EXPECT_EQ(slab().in_use, 64U);
    EXPECT_EQ(check(), 0);
}

TEST_F(SlabVm, AnEntryGivenTwiceIsRefusedAndReported) {
    ASSERT_EQ(init(500), 0);
    slab_args arguments{};
    ASSERT_EQ(run("slab_give_twice", arguments), 0);
    EXPECT_EQ(slab().bad_gives, 1U);
    scx_slab_report report{};
    EXPECT_EQ(check(&report), -EUCLEAN);
    EXPECT_EQ(report.lost + report.doubled + report.wrong, 0U); // the lists are whole all the same
}

TEST_F(SlabVm, SelfCheckFindsDamage) {
    const auto damage = [&](slab_damage kind) {
        EXPECT_EQ(init(500), 0);
        slab_args arguments{};
        arguments.count = kind;
        EXPECT_EQ(run("slab_damage", arguments), 0);
        scx_slab_report report{};
        EXPECT_EQ(check(&report), -EUCLEAN);
        return report;
    };
    EXPECT_EQ(damage(SLAB_DAMAGE_LOSE).lost, 1U);
    EXPECT_EQ(damage(SLAB_DAMAGE_LOOP).doubled, 1U);
    EXPECT_GE(damage(SLAB_DAMAGE_MARK).wrong, 1U);
}

} // namespace
} // namespace scxhost
