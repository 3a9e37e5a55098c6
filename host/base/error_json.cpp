// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/error_json.hpp"

#include "host/base/json_fields.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <utility>

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

namespace {

constexpr std::array<std::pair<ErrorKind, std::string_view>, 13> kWords = {{
    {ErrorKind::kUsage, "usage"},
    {ErrorKind::kConfig, "config"},
    {ErrorKind::kPlugin, "plugin"},
    {ErrorKind::kObject, "object"},
    {ErrorKind::kUnsupported, "unsupported"},
    {ErrorKind::kPermission, "permission"},
    {ErrorKind::kBusy, "busy"},
    {ErrorKind::kVerifier, "verifier"},
    {ErrorKind::kAttach, "attach"},
    {ErrorKind::kEjected, "ejected"},
    {ErrorKind::kNoHost, "no-host"},
    {ErrorKind::kIo, "io"},
    {ErrorKind::kInternal, "internal"},
}};

template <std::integral T>
T number(const nlohmann::json& object, const char* key) {
    const std::int64_t value = json_integer(object, key);
    return value > 0 && std::in_range<T>(value) ? static_cast<T>(value) : 0;
}

} // namespace

Error error_from_json(const nlohmann::json& json) {
    Error error;
    if (!json.is_object())
        return error;
    error.kind = error_kind(json_text(json, "kind")).value_or(ErrorKind::kInternal);
    error.what = json_text(json, "message");
    error.hint = json_text(json, "hint");
    if (std::string file = json_text(json, "file"); !file.empty())
        error.where = SourceLocation{.file = std::move(file),
                                     .line = number<unsigned>(json, "line"),
                                     .column = number<unsigned>(json, "column")};
    error.sys_errno = number<int>(json, "errno");
    error.detail = json_text(json, "detail");
    return error;
}

std::string_view to_string(ErrorKind kind) {
    const auto* entry = std::ranges::find(kWords, kind, &std::pair<ErrorKind, std::string_view>::first);
    return entry == kWords.end() ? "internal" : entry->second;
}

std::optional<ErrorKind> error_kind(std::string_view word) {
    const auto* entry = std::ranges::find(kWords, word, &std::pair<ErrorKind, std::string_view>::second);
    return entry == kWords.end() ? std::nullopt : std::optional(entry->first);
}

} // namespace scxhost
