// SPDX-License-Identifier: GPL-2.0-only
#include "host/manual/mdoc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace scxhost {
namespace {

constexpr std::size_t kColumns = 78;
constexpr std::string_view kCode = "\\fB";
constexpr std::string_view kPlain = "\\fP";

// The character that starts at `text[at]`, which is behind it then. The project's texts are well-formed UTF-8.
std::uint32_t next_character(std::string_view text, std::size_t& at) {
    const auto byte = static_cast<unsigned char>(text[at++]);
    if (byte < 0x80)
        return byte;
    const int more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
    std::uint32_t character = byte & (0x3fU >> more);
    for (int i = 0; i < more && at < text.size(); ++i)
        character = character << 6U | (static_cast<unsigned char>(text[at++]) & 0x3fU);
    return character;
}

std::string escape(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::uint32_t character = next_character(text, at);
        switch (character) {
        case '\\':
            out += "\\e";
            break;
        case '-':
            out += "\\-"; // a hyphen that can be copied into a shell
            break;
        case '\'':
            out += "\\(aq";
            break;
        case '`':
            out += "\\(ga";
            break;
        case '~':
            out += "\\(ti";
            break;
        case '^':
            out += "\\(ha";
            break;
        default:
            if (character < 0x80)
                out += static_cast<char>(character);
            else
                out += fmt::format("\\[u{:04X}]", character);
        }
    }
    return out;
}

// A line that begins like a request is none.
std::string guarded(std::string line) {
    return line.starts_with('.') ? "\\&" + line : line;
}

bool ends_sentence(std::string_view word) {
    while (word.ends_with("\\fP") || word.ends_with(')') || word.ends_with('"'))
        word.remove_suffix(word.ends_with("\\fP") ? 3 : 1);
    return word.ends_with('.') || word.ends_with('?') || word.ends_with('!');
}

// `text` is escaped already; words are parted by blanks.
std::string filled(std::string_view text) {
    std::string out;
    std::string line;
    bool ended = false;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find_first_of(" \n\t", at), text.size());
        const std::string_view word = text.substr(at, end - at);
        at = end + 1;
        if (word.empty())
            continue;
        if (!line.empty() && (ended || line.size() + 1 + word.size() > kColumns)) {
            out += guarded(std::move(line)) + "\n";
            line.clear();
        }
        line += (line.empty() ? "" : " ") + std::string(word);
        ended = ends_sentence(word);
    }
    return line.empty() ? out : out + guarded(std::move(line)) + "\n";
}

// Fonts in the place of Markdown's marks.
std::string with_fonts(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::string_view rest = text.substr(at);
        std::size_t end = std::string_view::npos;
        if (rest.starts_with('`') && (end = rest.find('`', 1)) != std::string_view::npos) {
            // In one piece, however the line is filled: its blanks part no words.
            std::string code = escape(rest.substr(1, end - 1));
            for (std::size_t blank = 0; (blank = code.find_first_of(" \n", blank)) != std::string::npos; blank += 2)
                code.replace(blank, 1, "\\~");
            out += fmt::format("{}{}{}", kCode, code, kPlain);
            at += end + 1;
        } else if (rest.starts_with("**") && (end = rest.find("**", 2)) != std::string_view::npos) {
            out += fmt::format("\\fI{}{}", with_fonts(rest.substr(2, end - 2)), kPlain);
            at += end + 2;
        } else if (rest.starts_with('[') && (end = rest.find("](")) != std::string_view::npos &&
                   rest.find(']') == end && rest.find(')', end) != std::string_view::npos) {
            out += fmt::format("\\fI{}{}", with_fonts(rest.substr(1, end - 1)), kPlain);
            at += rest.find(')', end) + 1;
        } else {
            const std::size_t length = std::clamp<std::size_t>(rest.find_first_of("`*[", 1), 1, rest.size());
            out += escape(rest.substr(0, length));
            at += length;
        }
    }
    return out;
}

std::vector<std::string> cells_of(std::string_view row) {
    std::vector<std::string> cells;
    std::string cell;
    for (std::size_t at = 1; at < row.size(); ++at) {
        if (row[at] == '|' && row[at - 1] != '\\') {
            const std::size_t first = cell.find_first_not_of(' ');
            cells.push_back(first == std::string::npos ? ""
                                                       : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
            cell.clear();
        } else if (!row.substr(at).starts_with("\\|")) { // a bar that parts no cells
            cell += row[at];
        }
    }
    return cells;
}

// A document, line by line.
class Converter {
public:
    explicit Converter(std::string_view document) {
        for (std::size_t at = 0; at < document.size();) {
            const std::size_t end = std::min(document.find('\n', at), document.size());
            lines_.push_back(document.substr(at, end - at));
            at = end + 1;
        }
    }

    std::string run();

private:
    void heading(std::string_view line);
    void code();
    void table();
    void list();
    void paragraph();
    // Before a block that is no first one of its section.
    void separate() {
        if (!fresh_)
            out_ += ".Pp\n";
        fresh_ = false;
    }

    std::vector<std::string_view> lines_;
    std::size_t at_ = 0;
    bool fresh_ = true;
    std::string out_;
};

void Converter::heading(std::string_view line) {
    const std::size_t level = line.find_first_not_of('#');
    std::string title(line.substr(level + 1));
    std::erase(title, '`');
    if (level > 1) // the mark behind it: no bracket at its end is punctuation
        out_ += ".Ss " + escape(title) + "\\&\n";
    fresh_ = true;
    ++at_;
}

void Converter::code() {
    std::string text;
    for (++at_; at_ < lines_.size() && !lines_[at_].starts_with("```"); ++at_)
        text += std::string(lines_[at_]) + "\n";
    ++at_;
    separate();
    if (out_.ends_with(".Pp\n"))
        out_.resize(out_.size() - 4); // the display makes its own room
    out_ += mdoc_literal(text);
}

// "Default: `1s`."; what a row is about needs no name of its column.
std::string with_column_name(const std::string& head, const std::string& cell) {
    std::string text = head.empty() || head == "Meaning" ? cell : fmt::format("{}: {}", head, cell);
    if (!head.empty())
        text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    return text + (text.ends_with('.') ? "\n" : ".\n");
}

// The first cell is the tag, the others are told with their column's name where there are several.
void Converter::table() {
    const std::vector<std::string> heads = cells_of(lines_[at_]);
    at_ += 2;
    out_ += ".Bl -tag -width Ds\n";
    for (; at_ < lines_.size() && lines_[at_].starts_with('|'); ++at_) {
        const std::vector<std::string> cells = cells_of(lines_[at_]);
        const std::string tag = cells.empty() ? "" : with_fonts(cells[0]);
        out_ += ".It " + (tag.empty() ? std::string("\\&") : tag) + "\n";
        std::string text;
        for (std::size_t i = 1; i < cells.size(); ++i) {
            if (cells[i].empty())
                continue;
            text += heads.size() > 2 && i < heads.size() ? with_column_name(heads[i], cells[i]) : cells[i] + "\n";
        }
        out_ += mdoc_paragraph(text, true);
    }
    out_ += ".El\n";
    fresh_ = false;
}

void Converter::list() {
    const bool numbered = !lines_[at_].starts_with('*');
    out_ += numbered ? ".Bl -enum\n" : ".Bl -bullet\n";
    while (at_ < lines_.size() && (numbered ? lines_[at_].find(". ") < 3 : lines_[at_].starts_with("* "))) {
        std::string text(lines_[at_].substr(lines_[at_].find(' ') + 1));
        for (++at_; at_ < lines_.size() && lines_[at_].starts_with("  "); ++at_)
            text += " " + std::string(lines_[at_]);
        out_ += ".It\n" + mdoc_paragraph(text, true);
    }
    out_ += ".El\n";
    fresh_ = false;
}

bool begins_list(std::string_view line) {
    return line.starts_with("* ") ||
           (line.size() > 3 && std::isdigit(static_cast<unsigned char>(line[0])) != 0 && line.substr(1, 2) == ". ");
}

void Converter::paragraph() {
    std::string text;
    for (; at_ < lines_.size() && !lines_[at_].empty() && !lines_[at_].starts_with("```") &&
           !(begins_list(lines_[at_]) && !text.empty());
         ++at_)
        text += std::string(lines_[at_]) + "\n";
    separate();
    out_ += mdoc_paragraph(text, true);
}

std::string Converter::run() {
    while (at_ < lines_.size()) {
        const std::string_view line = lines_[at_];
        if (line.empty() || line.starts_with("<!--"))
            ++at_;
        else if (line.starts_with('#'))
            heading(line);
        else if (line.starts_with("```"))
            code();
        else if (line.starts_with('|'))
            table();
        else if (begins_list(line))
            list();
        else
            paragraph();
    }
    return std::move(out_);
}

} // namespace

std::string mdoc_text(std::string_view text) {
    return guarded(escape(text));
}

std::string mdoc_argument(std::string_view text) {
    std::string out = escape(text);
    for (std::size_t at = 0; (at = out.find('"', at)) != std::string::npos; at += 4)
        out.replace(at, 1, "\\(dq");
    return out.find(' ') == std::string::npos && !out.empty() ? out : "\"" + out + "\"";
}

std::string mdoc_paragraph(std::string_view text, bool in_markdown) {
    return filled(in_markdown ? with_fonts(text) : escape(text));
}

std::string mdoc_literal(std::string_view lines) {
    std::string out = ".Bd -literal -offset indent\n";
    for (std::size_t at = 0; at < lines.size();) {
        const std::size_t end = std::min(lines.find('\n', at), lines.size());
        out += mdoc_text(lines.substr(at, end - at)) + "\n";
        at = end + 1;
    }
    return out + ".Ed\n";
}

std::string mdoc_from_markdown(std::string_view document) {
    return Converter(document).run();
}

} // namespace scxhost
