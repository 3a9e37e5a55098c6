// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/diagnostic.hpp"

#include "host/cli/terminal.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstdio>

namespace scxhost {
namespace {

struct SeverityLook {
    std::string_view word;
    std::string_view colour;
};

SeverityLook look_of(Severity severity) {
    switch (severity) {
    case Severity::kError:
        return {"error", kRed};
    case Severity::kWarning:
        return {"warning", kYellow};
    case Severity::kNote:
        break;
    }
    return {"note", kCyan};
}

std::string indent(std::string_view text, std::string_view margin) {
    std::string result;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        result += fmt::format("{}{}\n", margin, text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    return result;
}

std::string place(const std::optional<SourceLocation>& where) {
    if (!where || where->file.empty())
        return "scxhost: ";
    std::string result = where->file + ":";
    if (where->line > 0)
        result += fmt::format("{}:", where->line);
    if (where->line > 0 && where->column > 0)
        result += fmt::format("{}:", where->column);
    return result + " ";
}

} // namespace

std::string format_diagnostic(Severity severity, const Error& error, bool colour) {
    const auto [word, code] = look_of(severity);
    std::string result = fmt::format("{}{} {}\n", printable(place(error.where)),
                                     paint(fmt::format("{}:", word), code, colour), printable(error.what));
    result += indent(printable(error.detail), "    ");
    if (!error.hint.empty())
        result += fmt::format("  {} {}\n", paint("hint:", kGreen, colour), printable(error.hint));
    return result;
}

void print_diagnostic(Severity severity, const Error& error) {
    std::fputs(format_diagnostic(severity, error, wants_colour(STDERR_FILENO)).c_str(), stderr);
}

void print_note(std::string_view text) {
    print_diagnostic(Severity::kNote, {.what = std::string(text)});
}

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
