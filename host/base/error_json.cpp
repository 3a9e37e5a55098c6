// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/error_json.hpp"

#include <nlohmann/json.hpp>

namespace scxhost {

nlohmann::json to_json(const Error& error) {
    nlohmann::json result = {{"kind", to_string(error.kind)}, {"message", error.what}};
    if (!error.hint.empty())
        result["hint"] = error.hint;
    if (error.where) {
        result["file"] = error.where->file;
        if (error.where->line > 0) {
            result["line"] = error.where->line;
            result["column"] = error.where->column;
        }
    }
    if (error.sys_errno != 0)
        result["errno"] = error.sys_errno;
    if (!error.detail.empty())
        result["detail"] = error.detail;
    return result;
}

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
    case ErrorKind::kUsage:
        return "usage";
    case ErrorKind::kConfig:
        return "config";
    case ErrorKind::kPlugin:
        return "plugin";
    case ErrorKind::kObject:
        return "object";
    case ErrorKind::kUnsupported:
        return "unsupported";
    case ErrorKind::kPermission:
        return "permission";
    case ErrorKind::kBusy:
        return "busy";
    case ErrorKind::kVerifier:
        return "verifier";
    case ErrorKind::kAttach:
        return "attach";
    case ErrorKind::kEjected:
        return "ejected";
    case ErrorKind::kIo:
        return "io";
    case ErrorKind::kInternal:
        break;
    }
    return "internal";
}

} // namespace scxhost
