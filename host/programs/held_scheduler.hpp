// SPDX-License-Identifier: GPL-2.0-only
//
// A scheduler whose BPF object is another process's, by the map of its struct_ops: what it is, its exit record, and the
// link that attaches it. All of it stays readable when that process is dead, as long as this lives.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/bpf/declarations.hpp"
#include "host/bpf/exit_report.hpp"
#include "host/bpf/statistics.hpp"
#include "host/kernel/ops_layout.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {

class HeldScheduler {
public:
    // `map` is loaded, with its value. `variables` are those of its object to be shown as statistics, as in
    // add_variable_statistics(). Errors: kObject when it is no scheduler's; kConfig, it has no such variable; kIo.
    static Result<std::shared_ptr<const HeldScheduler>> from_map(UniqueFd map, const std::vector<OpsLayout>& layouts,
                                                                 const std::vector<std::string>& variables = {});

    [[nodiscard]] const std::string& ops_name() const { return ops_name_; }
    [[nodiscard]] const std::string& ops_type() const { return ops_type_; } // "sched_ext_ops" or its cid form
    [[nodiscard]] std::uint64_t flags() const { return flags_; }
    [[nodiscard]] std::uint64_t sub_cgroup() const { return sub_cgroup_; }       // as in SchedulerLink
    [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; } // of its watchdog; 0: the kernel's own
    [[nodiscard]] const std::vector<std::string>& callbacks() const { return callbacks_; }
    [[nodiscard]] std::uint32_t map_id() const { return map_id_; }
    [[nodiscard]] bool has_exit_record() const { return record_.has_value(); }

    // nullopt: it has none that the host can find. Never waits.
    [[nodiscard]] std::optional<ExitReport> read_exit_record() const;
    // Its kind alone, without allocating; 0 while it has not left, and without a record.
    [[nodiscard]] std::uint32_t exit_kind() const;

    // Of the variables that were asked for.
    [[nodiscard]] const std::vector<StatisticDeclaration>& statistics() const { return statistics_; }
    // One value for each of them. One thread at a time.
    [[nodiscard]] Result<std::vector<std::int64_t>> read_statistics() const;

    // Attaches it: the kernel's call alone. Whether the kernel then runs it must be confirmed. Errors: kBusy (EBUSY),
    // kAttach, with the errno; nothing is allocated on success.
    [[nodiscard]] Result<UniqueFd> attach() const;

private:
    // The values of one array map of the object, mapped to be read.
    class Section {
    public:
        Section() = default;
        Section(const void* address, std::size_t size)
            : address_(address)
            , size_(size) {}
        Section(Section&& other) noexcept
            : address_(std::exchange(other.address_, nullptr))
            , size_(std::exchange(other.size_, 0)) {}
        Section& operator=(Section&& other) noexcept {
            std::swap(address_, other.address_);
            std::swap(size_, other.size_);
            return *this;
        }
        ~Section();
        [[nodiscard]] std::span<const std::byte> bytes() const {
            return {static_cast<const std::byte*>(address_), size_};
        }

    private:
        const void* address_ = nullptr;
        std::size_t size_ = 0;
    };

    HeldScheduler() = default;
    void find_exit_record(const BtfView& btf);
    Result<> find_statistics(const BtfView& btf, const std::vector<std::string>& variables);
    [[nodiscard]] std::optional<StatisticsPlace> place_of(const StatisticDeclaration& statistic) const;
    [[nodiscard]] Section map_section(const BtfView& btf, const std::string& name) const;

    UniqueFd map_;
    std::uint32_t map_id_ = 0;
    std::string ops_name_;
    std::string ops_type_;
    std::uint64_t flags_ = 0;
    std::uint64_t sub_cgroup_ = 0;
    std::chrono::milliseconds timeout_{};
    std::vector<std::string> callbacks_;
    std::vector<std::uint32_t> maps_; // ids of those that its callbacks use
    std::optional<ExitRecordPlace> record_;
    Section section_;
    Section dump_;
    std::vector<StatisticDeclaration> statistics_;
    std::map<std::string, Section> sections_; // that statistics are in, as far as they can be mapped
    std::map<std::string, UniqueFd> copied_;  // what statistics may be in and is read by copying
    mutable std::optional<StatisticsReader> reader_;
};

} // namespace scxhost
