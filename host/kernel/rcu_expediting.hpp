// SPDX-License-Identifier: GPL-2.0-only
//
// Makes RCU grace periods short for the time of a swap: most of the swap window is waiting for them (7.3.4: 36 ms as
// usual, 1.6 ms expedited). The setting is the whole machine's, and costs every CPU an interrupt for each grace period,
// so it goes back to what it was, after a crash of the host too: while it is raised, a file in the host's runtime
// folder holds the old value.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace scxhost {

class RcuExpediting {
public:
    static constexpr const char* kPath = "/sys/kernel/rcu_expedited";

    // `folder` must exist and belong to the host alone. Errors: kUnsupported, kPermission, kIo.
    static Result<RcuExpediting> open(const std::filesystem::path& folder, const std::filesystem::path& path = kPath);

    // What a host that died in its swap window left raised is put back. The value that was put back, if one was.
    Result<std::optional<std::string>> recover();

    // Raises the setting. False when it was raised already, or cannot be raised: then there is nothing to restore.
    bool raise();
    void restore();

private:
    RcuExpediting() = default;

    UniqueFd setting_;
    std::filesystem::path note_;
    std::string old_value_;
};

} // namespace scxhost
