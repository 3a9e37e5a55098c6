// SPDX-License-Identifier: GPL-2.0-only
//
// The kernel's log, /dev/kmsg. sched_ext says there why it refused a scheduler (7.3.4: "Not compatible with "isolcpus="
// domain isolation"), when the system call returns a bare EINVAL, and why it ended one, also when that keeps no exit
// record. No call waits.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace scxhost {

// One record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg); the texts lie in what was parsed.
struct KernelLogRecord {
    static constexpr int kError = 3; // KERN_ERR; lower is worse

    int level = 0;
    std::chrono::microseconds since_boot{};
    std::string_view text; // its first line
};

// nullopt when it is no record.
[[nodiscard]] std::optional<KernelLogRecord> parse_kernel_log_record(std::string_view record);
// As a line of dmesg, with its end: "[   12.345678] text\n".
[[nodiscard]] std::string to_line(const KernelLogRecord& record);

// The last lines of the kernel's log, whole ones, at most this much of them; oldest first.
[[nodiscard]] Result<std::string> kernel_log_tail(std::size_t max_bytes);

// Collects from records what sched_ext said about one scheduler.
class SchedExtReason {
public:
    // `ops_name`: as in root/ops, build id included.
    explicit SchedExtReason(std::string_view ops_name);

    void add(const KernelLogRecord& record);
    // The kernel's words; empty when it gave no reason. Its message about this scheduler; or else the reason why it
    // says that it disabled this one; or else an error that names nobody, as when it refuses a scheduler. Of two the
    // first, because the others follow from it. What is said about other schedulers does not count.
    [[nodiscard]] const std::string& text() const;

private:
    std::string ops_name_;
    std::string message_;
    std::string reason_;
    std::string unnamed_;
};

// A place in the log, and what came after it. One thread at a time.
class KernelLogMark {
public:
    // The place is the end of the log. Errors: kPermission (CAP_SYSLOG, where kernel.dmesg_restrict is 1), kIo.
    static Result<KernelLogMark> open();

    // Moves the place to the end of the log: one system call, no memory, so that it can be done before a swap window.
    void move_to_end();
    // Why sched_ext refused or ended a scheduler, by what was logged since; empty when it did not say. What was read is
    // passed: the place is then at the end. Not for within the window: reads record by record, at most the whole log.
    [[nodiscard]] std::string take_reason(std::string_view ops_name);

private:
    explicit KernelLogMark(UniqueFd fd)
        : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

} // namespace scxhost
