// SPDX-License-Identifier: GPL-2.0-only
//
// The statistics socket of a program that runs, as its client: asked for the numbers that the program keeps about
// itself. The program may be slow, hang, or send anything, so each question has a deadline and each answer a limit; the
// one who waits is a thread that has nothing else to do.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/programs/scx_stats.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scxhost {

class StatisticsSocket {
public:
    // Where the scx project's schedulers have it by default, from the root of what they see of the file system.
    static constexpr const char* kPath = "run/scx/root/stats";
    static constexpr std::size_t kMaxAnswer = 1U << 20U; // bytes

    // `root` is that root folder (O_PATH), `path` is below it, and no part of it may be a link: what the program serves
    // is its own.
    explicit StatisticsSocket(UniqueFd root, std::string path = kPath)
        : root_(std::move(root))
        , path_(std::move(path)) {}

    // Its numbers now; nullopt: nobody serves them (yet). Waits for `patience` at most, all in all. Any thread, one at
    // a time. After an error the next question connects anew. Errors: kIo, it does not answer in time, or says what is
    // no answer.
    Result<std::optional<std::vector<ScxStat>>> ask(std::chrono::nanoseconds patience);

private:
    using Deadline = std::chrono::steady_clock::time_point;

    // False: there is no such socket, or nobody listens.
    Result<bool> connect();
    Result<std::optional<std::vector<ScxStat>>> ask_until(Deadline deadline);
    Result<std::string> exchange(std::string_view question, Deadline deadline) const;
    Result<> wait_for(short events, Deadline deadline) const;

    UniqueFd root_;
    std::string path_;
    UniqueFd connection_;
    ScxStatsMeta meta_; // of this connection's other end
};

} // namespace scxhost
