// SPDX-License-Identifier: GPL-2.0-only
//
// Records of what went wrong, one JSON file each, in a folder of the host's own: who was ejected, why, and what the
// kernel had to say. They outlive the host and are read without one. The oldest go when all together take too much.
#pragma once

#include "host/base/result.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {

// Of the JSON in the files. Grows when a field changes its meaning or goes, not when one is added.
inline constexpr int kIncidentSchema = 1;

// What a record's file name tells.
struct IncidentSummary {
    std::uint32_t number = 0; // from 1; never used twice while a later record is there
    std::string time;         // "2026-01-31T23:59:59Z"
    std::string scheduler;    // made fit for a file name
    std::uint64_t bytes = 0;
    std::filesystem::path path;
};

// Keeps no state but where the records are. Every call waits for the disk. One writer at a time: hosts have only one
// control socket to themselves, and so only one folder.
class IncidentStore {
public:
    // `limit_bytes` is what all records may take together. Touches nothing yet.
    IncidentStore(std::filesystem::path folder, std::uint64_t limit_bytes)
        : folder_(std::move(folder))
        , limit_(limit_bytes) {}

    // Writes a record and returns its path. The record's "time" (utc_time(); now when it has none) and "scheduler" make
    // its name; "schema", "number" and "time" are put into it. The folder is made, mode 0750, when it is missing. What
    // fails leaves nothing behind, and no older record is given up for it. Errors: kPermission when others could write
    // to the folder; kIo (a full disk, or a record larger than the limit).
    Result<std::string> write(nlohmann::json record) const;
    // Puts `fields` into a record that write() has returned, beside what it has or in its place. On failure the record
    // stays as it was. Errors: those of read() and write().
    Result<> amend(const std::filesystem::path& record, const nlohmann::json& fields) const;

    // The oldest first; empty when there is no folder. Other files in it are passed over. Errors: kPermission, kIo.
    [[nodiscard]] Result<std::vector<IncidentSummary>> list() const;
    // Errors: kUsage when there is no such record; kPermission; kIo, also for a damaged one.
    [[nodiscard]] Result<nlohmann::json> read(std::uint32_t number) const;

private:
    Result<> put(const nlohmann::json& record, const std::filesystem::path& path, unsigned rename_flags) const;
    void drop_oldest(const std::filesystem::path& newest) const;

    std::filesystem::path folder_;
    std::uint64_t limit_;
};

} // namespace scxhost
