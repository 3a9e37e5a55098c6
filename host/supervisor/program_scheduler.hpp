// SPDX-License-Identifier: GPL-2.0-only
//
// A scheduler that is somebody's program, hosted as it is: its process was started and waits where it asks the kernel
// to attach. The link is made here and handed to the program when the kernel has confirmed it.
//
// What was attached once cannot be attached again: the program's user-space half believes that it runs, or has ended.
// So the way back to a program is a second process of it, the standby, which waits at its own attach while the other
// one runs. Without it (program.way_back = "restart") the program is started anew.
#pragma once

#include "host/base/background_worker.hpp"
#include "host/base/event_fd.hpp"
#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/config/config.hpp"
#include "host/kernel/ops_layout.hpp"
#include "host/programs/held_program.hpp"
#include "host/programs/scx_stats.hpp"
#include "host/programs/statistics_socket.hpp"
#include "host/supervisor/scheduler.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

// A program as it stands on the disk. `facts` has all but what only its process tells.
struct ProgramFile {
    ProgramSettings settings;
    SchedulerFacts facts;
};

// Waits for the file system: for the worker. Errors: ExecutableFile::open()'s.
Result<ProgramFile> read_program_file(const Config& config);

class ProgramScheduler : public Scheduler {
public:
    // Starts it. `held` comes once, from the loop: it can be attached; or why not, which is HeldProgram::Listener's. It
    // is the caller's to end in any case.
    static Result<std::unique_ptr<ProgramScheduler>> start(EventLoop& loop, ProgramFile file, const Config& config,
                                                           std::vector<OpsLayout> layouts,
                                                           std::function<void(Result<>)> held);
    ~ProgramScheduler() override; // waits for processes that have not ended, for a few seconds at most

    [[nodiscard]] const SchedulerFacts& facts() const override { return facts_; }
    void clear_exit_record() override {} // each process has its own
    [[nodiscard]] bool can_attach() const override;
    Result<Attachment> attach() override;
    Result<> attach_programs() override { return {}; } // its own affair, and done by now
    void detach_programs() override {}
    [[nodiscard]] std::uint32_t exit_kind() const override;
    [[nodiscard]] std::optional<ExitReport> read_exit_record() const override;
    Result<std::vector<std::int64_t>> read_statistics() override;
    void after_attach(Attachment& link) override;
    [[nodiscard]] bool ticks() const override { return socket_ != nullptr; }
    bool begin_tick() override;
    [[nodiscard]] int news_fd() const override { return news_ready_.get(); }
    std::vector<SchedulerNews> news() override;
    [[nodiscard]] std::optional<SchedulerProcess> process() const override;
    [[nodiscard]] std::optional<ProcessEnd> wait_for_process_end(std::chrono::nanoseconds patience) const override;
    bool prepare_way_back() override;
    void drop_way_back() override;
    bool end(std::function<void()> ended) override;

private:
    struct Instance {
        std::unique_ptr<HeldProgram> program;
        std::shared_ptr<const HeldScheduler> scheduler; // from when it is held
        UniqueFd dead_link; // a duplicate of its link, from the attach until it is confirmed
        bool attached = false;
        bool ended = false;
    };

    ProgramScheduler(EventLoop& loop, ProgramFile file, std::string way_back, std::vector<OpsLayout> layouts);
    Result<std::unique_ptr<Instance>> start_instance(std::function<void(Result<>)> held);
    void describe_held();
    void declare_statistics();
    void start_asking();
    void stop_asking();
    void on_answer(const StatisticsSocket* socket, Result<std::optional<std::vector<ScxStat>>> answer);
    void take_reported(const std::vector<ScxStat>& stats);
    void on_output(const Instance& instance, std::string_view text);
    void on_ended(Instance& instance, const ProcessEnd& end);
    void retire(std::unique_ptr<Instance> instance);
    static void end_instance(Instance& instance);
    void publish(SchedulerNews news);
    [[nodiscard]] bool all_ended() const;

    EventLoop& loop_;
    ProgramSettings settings_;
    SchedulerFacts facts_;
    bool wants_standby_;
    std::vector<OpsLayout> layouts_;
    std::unique_ptr<Instance> current_;
    std::unique_ptr<Instance> standby_;
    bool standby_pending_ = false;                   // it is on its way
    std::unique_ptr<Instance> replaced_;             // in the window: what standby_ has taken the place of
    std::vector<std::unique_ptr<Instance>> retired_; // asked to end, and perhaps gone
    EventFd news_ready_;
    std::vector<SchedulerNews> news_;
    std::string unread_output_;
    std::size_t skipped_output_ = 0;       // bytes, of a flood
    std::vector<std::int64_t> statistics_; // as they were read last
    std::vector<std::int64_t> carried_;    // counters of the processes that this one has taken the place of
    std::size_t of_process_ = 0;           // so many of the statistics are of the process; then come its variables
    std::size_t of_host_ = 0;              // so many of the statistics are known without its statistics socket
    std::function<void()> when_ended_;
    std::shared_ptr<StatisticsSocket> socket_; // of the process that runs; the worker's jobs hold it too
    std::unique_ptr<BackgroundWorker> asker_;  // that talks to it
    bool asking_ = false;                      // it has not answered yet
    bool answers_ = false;                     // it has, the last time
    int unanswered_ = 0;                       // questions in a row
};

} // namespace scxhost
