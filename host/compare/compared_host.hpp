// SPDX-License-Identifier: GPL-2.0-only
//
// The host whose schedulers are compared: the one that runs, which lends the machine, or one that is started for it.
#pragma once

#include "host/base/event_fd.hpp"
#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/compare/contender.hpp"
#include "host/control/client.hpp"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

class ComparedHost {
public:
    struct Settings {
        std::filesystem::path socket; // of the host that runs, or is started
        std::vector<std::string> plugin_dirs;
    };
    // What the kernel said when a scheduler had come to run.
    struct Installed {
        std::string title; // empty: the kernel's own
        std::string ops;
        std::uint64_t enable_seq = 0;
    };

    // Joins the host that listens; where there is none, starts one, with the first of the contenders that is no
    // kernel's. `stop` ends the waiting for it (kBusy). Errors: as of the control protocol; of a host that did not
    // start its error is the detail. kUsage, kConfig, before anything is touched: what a configuration of theirs says.
    static Result<ComparedHost> join(Settings settings, const std::vector<Contender>& contenders, const EventFd& stop);
    ComparedHost(ComparedHost&& other) noexcept;
    ComparedHost& operator=(ComparedHost&&) = delete;
    // As leave(), without its errors.
    ~ComparedHost();

    // It was started for the comparison.
    [[nodiscard]] bool is_own() const { return own_pid_ > 0; }
    [[nodiscard]] const std::string& kernel_release() const { return kernel_release_; }

    // Whether it could run, verifier and all; nothing is touched.
    Result<> check(const Contender& contender);
    // Makes it run, afresh, and has the kernel's word for it. Errors: why it does not.
    Result<Installed> install(const Contender& contender);
    // kEjected, with the reason: something else runs by now, or did in between.
    Result<> check_runs(const Installed& installed);
    // kBusy: somebody else has decided meanwhile what the host runs, which then stays. kNoHost: it has ended.
    Result<> check_loan();
    // Gives the machine back: what ran before comes back, or the host that was started ends. Waits for it.
    Result<> leave();

private:
    ComparedHost(Settings settings, ControlClient client)
        : settings_(std::move(settings))
        , client_(std::move(client)) {}
    static Result<ComparedHost> start(const Settings& settings, const std::vector<Contender>& contenders,
                                      const EventFd& stop);
    Result<> read_release();
    Result<nlohmann::json> ask(const std::string& method, nlohmann::json params);
    [[nodiscard]] std::string reason_of_end(const std::string& title);
    Result<Installed> confirm(const Contender& contender);

    Settings settings_;
    std::optional<ControlClient> client_;
    pid_t own_pid_ = -1;
    std::string kernel_release_;
};

} // namespace scxhost
