// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/terminal.hpp"

#include <fmt/format.h>
#include <locale.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <cstdlib>

namespace scxhost {
namespace {

constexpr std::string_view kReset = "\033[0m";

// Length of the UTF-8 character that the text starts with; 0 when it starts with none. Overlong forms do not matter
// here: no terminal takes them for control characters.
std::size_t character_bytes(std::string_view text) {
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t bytes = first < 0x80   ? 1
                              : first < 0xc2 ? 0
                              : first < 0xe0 ? 2
                              : first < 0xf0 ? 3
                              : first < 0xf5 ? 4
                                             : 0;
    if (bytes > text.size())
        return 0;
    const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; };
    return bytes < 2 || std::ranges::all_of(text.substr(1, bytes - 1), continues) ? bytes : 0;
}

// U+0080 to U+009F: among them a second way to start a terminal's control sequences.
bool is_c1_control(std::string_view text) {
    return static_cast<unsigned char>(text[0]) == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
}

// Of a colour or another of the terminal's sequences; 0 when the text does not start with one.
std::size_t sequence_bytes(std::string_view text) {
    if (!text.starts_with("\033["))
        return 0;
    const std::size_t end = text.find_first_not_of("0123456789;", 2);
    return end == std::string_view::npos ? text.size() : end + 1;
}

char32_t code_point(std::string_view character) {
    const auto first = static_cast<unsigned char>(character[0]);
    char32_t value = character.size() == 1 ? first : first & (0x7fU >> character.size());
    for (const char c : character.substr(1))
        value = (value << 6U) | (static_cast<unsigned char>(c) & 0x3fU);
    return value;
}

// wcwidth() goes by the locale; the texts are UTF-8, whatever the user's is.
std::size_t character_columns(std::string_view character) {
    if (character.size() == 1)
        return 1;
    static const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    if (utf8 == nullptr)
        return 1;
    const locale_t before = ::uselocale(utf8);
    const int columns = ::wcwidth(static_cast<wchar_t>(code_point(character)));
    ::uselocale(before);
    return columns < 0 ? 1 : static_cast<std::size_t>(columns); // unknown to libc: most are one wide
}

// Calls `take` with each part of a line and the columns that it needs.
template <typename Take>
void for_each_part(std::string_view text, const Take& take) {
    while (!text.empty()) {
        std::size_t bytes = sequence_bytes(text);
        std::size_t columns = 0;
        if (bytes == 0) {
            bytes = std::max<std::size_t>(character_bytes(text), 1);
            columns = character_columns(text.substr(0, bytes));
        }
        take(text.substr(0, bytes), columns);
        text.remove_prefix(bytes);
    }
}

} // namespace

std::size_t columns_of(std::string_view text) {
    std::size_t result = 0;
    for_each_part(text, [&](std::string_view, std::size_t columns) { result += columns; });
    return result;
}

std::string cut_to_columns(std::string_view line, std::size_t columns) {
    std::string result;
    std::size_t used = 0;
    bool full = false;
    for_each_part(line, [&](std::string_view part, std::size_t needs) {
        full = full || used + needs > columns;
        if (full && !part.starts_with('\033'))
            return;
        result += part;
        used += needs;
    });
    return result;
}

std::string format_rate(double per_second) {
    return per_second < 0 ? std::string() : fmt::format("{:.0f}/s", per_second + 0.0); // + 0: of -0, 0
}

std::string shorten_list(const std::string& text) {
    constexpr std::size_t kColumns = 48;
    const auto count = static_cast<std::size_t>(std::ranges::count(text, ',')) + 1;
    if (text.size() <= kColumns || !text.starts_with('[') ||
        text.find_first_not_of("0123456789, -[]") != std::string::npos)
        return text;
    const std::size_t end = text.rfind(',', kColumns / 2);
    return fmt::format("{}, ... ({} in all)]", text.substr(0, end), count);
}

bool wants_colour(int fd) {
    const char* no_colour = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    return ::isatty(fd) == 1 && (no_colour == nullptr || *no_colour == '\0') &&
           (term == nullptr || std::string_view(term) != "dumb");
}

std::string paint(std::string_view text, std::string_view colour, bool wanted) {
    return wanted ? fmt::format("{}{}{}", colour, text, kReset) : std::string(text);
}

std::string printable(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const std::size_t bytes = character_bytes(text);
        const auto first = static_cast<unsigned char>(text[0]);
        const bool harmless = first < 0x80 ? (first >= 0x20 && first != 0x7f) || first == '\n' || first == '\t'
                                           : bytes > 0 && !is_c1_control(text);
        result += harmless ? text.substr(0, bytes) : "?";
        text.remove_prefix(bytes == 0 ? 1 : bytes);
    }
    return result;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right) {
    std::vector<std::size_t> widths;
    for (const std::vector<std::string>& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i >= widths.size())
                widths.push_back(0);
            widths[i] = std::max(widths[i], columns_of(row[i]));
        }
    std::string result;
    for (const std::vector<std::string>& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string padding(widths[i] - columns_of(row[i]), ' ');
            const bool to_right = i < right.size() && right[i];
            line += (i > 0 ? "  " : "") + (to_right ? padding + row[i] : row[i] + padding);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        result += line + "\n";
    }
    return result;
}

std::string human_duration(std::chrono::nanoseconds duration) {
    struct Unit {
        double ns;
        std::string_view name;
    };
    constexpr Unit units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    const auto ns = static_cast<double>(duration.count());
    for (const Unit& unit : units)
        if (ns >= unit.ns || unit.ns == 1)
            return fmt::format("{:.{}f} {}", ns / unit.ns, unit.ns > 1 && ns < 100 * unit.ns ? 1 : 0, unit.name);
    return {};
}

std::string group_digits(std::int64_t value) {
    std::string digits = fmt::format("{}", value);
    const std::size_t first = value < 0 ? 1 : 0;
    for (std::size_t at = digits.size(); at > first + 3;) {
        at -= 3;
        digits.insert(at, 1, ' ');
    }
    return digits;
}

} // namespace scxhost
