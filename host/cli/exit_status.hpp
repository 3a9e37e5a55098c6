// SPDX-License-Identifier: GPL-2.0-only
//
// The exit statuses of scxhost, and which kind of error has which.
#pragma once

#include "host/base/result.hpp"

#include <array>
#include <string_view>

namespace scxhost {

enum class ExitStatus : int {
    kDone = 0,
    kSchedulerFailed = 1, // it did not start, failed, or was ejected
    kUsage = 2,           // command line, configuration, plugin or object
    kUnsupported = 3,     // this kernel or machine cannot
    kPermission = 4,
    kNoHost = 5, // no host is running
};

struct ExitStatusMeaning {
    ExitStatus status;
    std::string_view meaning;
};
// For --help and the manual.
inline constexpr std::array kExitStatusMeanings{
    ExitStatusMeaning{ExitStatus::kDone, "done"},
    ExitStatusMeaning{ExitStatus::kSchedulerFailed, "the scheduler failed or was ejected"},
    ExitStatusMeaning{ExitStatus::kUsage, "usage or configuration"},
    ExitStatusMeaning{ExitStatus::kUnsupported, "this kernel or machine cannot"},
    ExitStatusMeaning{ExitStatus::kPermission, "no permission"},
    ExitStatusMeaning{ExitStatus::kNoHost, "no host is running"},
};

constexpr ExitStatus exit_status(ErrorKind kind) {
    switch (kind) {
    case ErrorKind::kUsage:
    case ErrorKind::kConfig:
    case ErrorKind::kPlugin:
    case ErrorKind::kObject:
    case ErrorKind::kIo:
        return ExitStatus::kUsage;
    case ErrorKind::kUnsupported:
        return ExitStatus::kUnsupported;
    case ErrorKind::kPermission:
        return ExitStatus::kPermission;
    case ErrorKind::kNoHost:
        return ExitStatus::kNoHost;
    case ErrorKind::kBusy:
    case ErrorKind::kVerifier:
    case ErrorKind::kAttach:
    case ErrorKind::kEjected:
    case ErrorKind::kInternal:
        break;
    }
    return ExitStatus::kSchedulerFailed;
}

} // namespace scxhost
