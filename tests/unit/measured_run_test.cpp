// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/builtin_workloads.hpp"
#include "host/measure/measured_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace scxhost {
namespace {

using testing::HasSubstr;

double figure(const std::vector<Figure>& figures, std::string_view name) {
    const auto found = std::ranges::find(figures, name, &Figure::name);
    EXPECT_NE(found, figures.end()) << name;
    return found == figures.end() ? -1 : found->value;
}

TEST(MeasuredRun, MeasuresWhatAllItsProcessesTook) {
    const EventFd stop;
    const auto run = run_measured(
        {"sh", "-c", "echo out; echo err >&2; (i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done); read x && echo in"},
        stop);
    // Nothing can be read, so that the last command fails.
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(run.error().what, HasSubstr("ended with status 1"));
    EXPECT_EQ(run.error().detail, "out\nerr\n");

    const auto good =
        run_measured({"sh", "-c", "(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done); echo done"}, stop);
    ASSERT_TRUE(good) << good.error().what;
    EXPECT_EQ(good->output, "done\n");
    EXPECT_GT(figure(good->figures, "CPU time"), 0);
    EXPECT_GE(figure(good->figures, "wall time"), 0);
    EXPECT_FALSE(good->stopped);
}

TEST(MeasuredRun, WhatCannotRunIsNamed) {
    const EventFd stop;
    const auto run = run_measured({"/nowhere/program"}, stop);
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(run.error().what, HasSubstr("/nowhere/program: No such file"));
    const auto killed = run_measured({"sh", "-c", "kill -SEGV $$"}, stop);
    ASSERT_FALSE(killed);
    EXPECT_THAT(killed.error().what, HasSubstr("signal 11"));
}

TEST(MeasuredRun, NothingOfItIsLeft) {
    const EventFd stop;
    const auto run = run_measured({"sh", "-c", "sleep 1000 & echo $!"}, stop);
    ASSERT_TRUE(run) << run.error().what;
    const pid_t left = std::stoi(run->output);
    EXPECT_EQ(::kill(left, 0), -1) << "the sleep runs on";
}

TEST(MeasuredRun, IsStoppedWithAllItsProcesses) {
    const EventFd stop;
    stop.signal();
    const auto run = run_measured({"sh", "-c", "sleep 1000 & sleep 1000"}, stop);
    ASSERT_TRUE(run) << run.error().what;
    EXPECT_TRUE(run->stopped);
    EXPECT_TRUE(run->figures.empty());
}

TEST(BuiltinWorkloads, EachHasItsFigures) {
    for (const BuiltinWorkload& workload : builtin_workloads()) {
        const auto figures = run_builtin_workload(workload, std::chrono::milliseconds(30));
        ASSERT_TRUE(figures) << workload.name << ": " << figures.error().what;
        ASSERT_FALSE(figures->empty()) << workload.name;
        for (const Figure& one : *figures) {
            EXPECT_FALSE(one.name.empty()) << workload.name;
            EXPECT_NE(one.better, Better::kUnknown) << workload.name;
            EXPECT_GE(one.value, 0) << workload.name;
        }
        const auto read = parse_figures(format_figures(*figures));
        ASSERT_TRUE(read) << workload.name;
        ASSERT_EQ(read->size(), figures->size());
        EXPECT_EQ(read->back().name, figures->back().name);
        EXPECT_EQ(read->back().value, figures->back().value);
        EXPECT_EQ(read->back().better, figures->back().better);
    }
    EXPECT_FALSE(parse_figures("[]"));
    EXPECT_FALSE(parse_figures("[{\"name\":\"x\"}]"));
    EXPECT_FALSE(parse_figures("oops"));
    const auto unknown = find_builtin_workload("periodc");
    ASSERT_FALSE(unknown);
    EXPECT_THAT(unknown.error().hint, HasSubstr("periodic"));
}

} // namespace
} // namespace scxhost
