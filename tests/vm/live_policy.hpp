// SPDX-License-Identifier: GPL-2.0-only
//
// A policy in this process, prepared and attached by scxhost_core as `scxhost run` does it, for tests that look closer
// than its output lets them: a loaded object attached twice, statistics at any moment, the policy's own test programs.
#pragma once

#include "host/bpf/statistics.hpp"
#include "host/supervisor/attach.hpp"
#include "host/supervisor/prepared_scheduler.hpp"
#include <scxhost/bpf/arena_slab.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

class LivePolicy {
public:
    // Loads the installed plugin, or the object with this path, with these `--set` options. `struct_ops`: which form;
    // empty: what fits the kernel. `cgroup`: as the branch of it. Throws std::runtime_error, as everything below, with
    // the host's own words: set-up that fails is a failed test.
    explicit LivePolicy(const std::string& plugin, const std::vector<std::string>& options = {},
                        const std::string& struct_ops = {}, const std::string& cgroup = {});
    LivePolicy(const LivePolicy&) = delete;
    LivePolicy& operator=(const LivePolicy&) = delete;
    ~LivePolicy(); // detaches

    void attach();
    void detach();

    // The attach call's own result, for attaches that are to fail.
    Result<Attached> try_attach();

    [[nodiscard]] bool running() const;
    [[nodiscard]] ExitReport exit_record() const;
    [[nodiscard]] SchedulerObject& object() { return scheduler_->object(); }
    [[nodiscard]] std::int64_t statistic(const std::string& name);
    // Read in one go, in the order of the names: between two calls the policy may do much.
    [[nodiscard]] std::vector<std::int64_t> statistics(const std::vector<std::string>& names);
    // Runs a syscall program of the object without an argument; its return value.
    [[nodiscard]] int run_program(const std::string& name) const;

    // The slab's self-check (the program PLUGIN_check_slab), repeated as long as tasks come and go (-EAGAIN).
    int check_slab(scx_slab_report* report = nullptr) const;

private:
    std::string plugin_;
    std::unique_ptr<PreparedScheduler> scheduler_;
    std::optional<StatisticsReader> statistics_;
    std::optional<Attachment> link_;
    std::uint64_t enable_seq_ = 0;
};

} // namespace scxhost
