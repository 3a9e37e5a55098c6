// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/diagnostic.hpp"

#include "host/cli/terminal.hpp"

#include <fmt/format.h>
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

} // namespace scxhost
