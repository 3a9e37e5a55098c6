// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/kernel_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <deque>
#include <system_error>

namespace scxhost {
namespace {

constexpr const char* kLogDevice = "/dev/kmsg";
// A machine in trouble may log faster than we read.
constexpr int kMaxReads = 200'000;
constexpr unsigned kLevelMask = 7; // the other bits are the facility

template <typename Number>
std::optional<Number> take_number(std::string_view& fields) {
    const std::string_view digits = fields.substr(0, fields.find(','));
    Number value{};
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || status != std::errc{} || end != digits.data() + digits.size())
        return std::nullopt;
    fields.remove_prefix(std::min(digits.size() + 1, fields.size()));
    return value;
}

Result<UniqueFd> open_log() {
    UniqueFd log(::open(kLogDevice, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!log)
        return fail_errno(errno == EACCES || errno == EPERM ? ErrorKind::kPermission : ErrorKind::kIo,
                          "cannot read the kernel's log", errno);
    return log;
}

// Hands each record to `use`, from where the descriptor stands to the end.
template <typename Use>
void read_records(int log, Use use) {
    std::array<char, 8192> buffer; // a read yields one record, and no record is longer
    for (int reads = 0; reads < kMaxReads; ++reads) {
        const ssize_t got = ::read(log, buffer.data(), buffer.size());
        if (got < 0 && (errno == EPIPE || errno == EINTR))
            continue; // EPIPE: records were overwritten meanwhile, and the next one follows
        if (got <= 0)
            return;
        if (const auto record = parse_kernel_log_record({buffer.data(), static_cast<std::size_t>(got)}))
            use(*record);
    }
}

} // namespace

std::optional<KernelLogRecord> parse_kernel_log_record(std::string_view record) {
    // "6,339,5140900,-;text\n KEY=value\n": facility and level, sequence number, microseconds since boot, flags, and
    // perhaps more.
    const std::size_t head_end = record.find(';');
    if (head_end == std::string_view::npos)
        return std::nullopt;
    std::string_view head = record.substr(0, head_end);
    const auto priority = take_number<unsigned>(head);
    const auto sequence = take_number<std::uint64_t>(head);
    const auto microseconds = take_number<std::uint64_t>(head);
    if (!priority || !sequence || !microseconds)
        return std::nullopt;
    const std::string_view text = record.substr(head_end + 1);
    return KernelLogRecord{.level = static_cast<int>(*priority & kLevelMask),
                           .since_boot = std::chrono::microseconds(*microseconds),
                           .text = text.substr(0, text.find('\n'))};
}

std::string to_line(const KernelLogRecord& record) {
    constexpr auto kSecond = std::chrono::microseconds(std::chrono::seconds(1)).count();
    const auto time = record.since_boot.count();
    return fmt::format("[{:5}.{:06}] {}\n", time / kSecond, time % kSecond, record.text);
}

Result<std::string> kernel_log_tail(std::size_t max_bytes) {
    const UniqueFd log = SCXHOST_TRY(open_log());
    std::deque<std::string> lines;
    std::size_t total = 0;
    read_records(log.get(), [&](const KernelLogRecord& record) {
        lines.push_back(to_line(record));
        total += lines.back().size();
        while (total > max_bytes) {
            total -= lines.front().size();
            lines.pop_front();
        }
    });
    std::string result;
    for (const std::string& line : lines)
        result += line;
    return result;
}

SchedExtReason::SchedExtReason(std::string_view ops_name)
    : ops_name_(ops_name) {}

// What 7.3.4 writes when a scheduler ends for an error (kernel/sched/ext): first
//   sched_ext: BPF scheduler "NAME" disabled (REASON)
// then, if there is one,
//   sched_ext: NAME: MESSAGE
// and when it refuses one before that has a name:
//   sched_ext: MESSAGE
void SchedExtReason::add(const KernelLogRecord& record) {
    constexpr std::string_view kPrefix = "sched_ext: ";
    constexpr std::string_view kDisabled = " disabled (";
    if (record.level > KernelLogRecord::kError || !record.text.starts_with(kPrefix))
        return;
    std::string_view text = record.text.substr(kPrefix.size());
    const auto keep_first = [](std::string& kept, std::string_view found) {
        if (kept.empty())
            kept = found;
    };
    if (text.starts_with(ops_name_) && text.substr(ops_name_.size()).starts_with(": ")) {
        keep_first(message_, text.substr(ops_name_.size() + 2));
    } else if (const std::size_t disabled = text.find(kDisabled); disabled != std::string_view::npos) {
        if (text.substr(0, disabled).ends_with('"' + ops_name_ + '"') && text.ends_with(')'))
            keep_first(reason_,
                       text.substr(disabled + kDisabled.size(), text.size() - disabled - kDisabled.size() - 1));
    } else if (!text.starts_with("BPF ") && text.find(": ") == std::string_view::npos) {
        keep_first(unnamed_, text);
    }
}

const std::string& SchedExtReason::text() const {
    for (const std::string* text : {&message_, &reason_})
        if (!text->empty())
            return *text;
    return unnamed_;
}

Result<KernelLogMark> KernelLogMark::open() {
    KernelLogMark mark(SCXHOST_TRY(open_log()));
    mark.move_to_end();
    return mark;
}

void KernelLogMark::move_to_end() {
    (void)::lseek(fd_.get(), 0, SEEK_END);
}

std::string KernelLogMark::take_reason(std::string_view ops_name) {
    SchedExtReason reason(ops_name);
    read_records(fd_.get(), [&](const KernelLogRecord& record) { reason.add(record); });
    return reason.text();
}

} // namespace scxhost
