// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/suggest.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace scxhost {
namespace {

// Nobody types a known word that is longer, and the comparison is quadratic.
constexpr std::size_t kMaxLength = 128;

std::string folded(std::string_view word) {
    std::string out(word);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
        else if (c == '-')
            c = '_';
    }
    return out;
}

// Damerau-Levenshtein distance in its restricted form (no letter takes part in two edits).
std::size_t edit_distance(std::string_view a, std::string_view b) {
    const std::size_t width = b.size() + 1;
    std::vector<std::size_t> two_back(width);
    std::vector<std::size_t> last(width);
    std::vector<std::size_t> row(width);
    for (std::size_t j = 0; j < width; ++j)
        last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j < width; ++j) {
            const std::size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], two_back[j - 2] + 1);
        }
        std::swap(two_back, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

} // namespace

std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string> known) {
    if (word.empty() || word.size() > kMaxLength)
        return std::nullopt;
    const std::string wanted = folded(word);
    const std::string* best = nullptr;
    std::size_t best_distance = 0;
    for (const std::string& candidate : known) {
        if (candidate.size() > kMaxLength)
            continue;
        const std::size_t distance = edit_distance(wanted, folded(candidate));
        const std::size_t limit = (std::max(word.size(), candidate.size()) + 2) / 3;
        // A distance as long as the word itself would replace all of it.
        if (distance > limit || distance >= std::min(word.size(), candidate.size()))
            continue;
        if (!best || distance < best_distance) {
            best = &candidate;
            best_distance = distance;
        }
    }
    return best ? std::optional(*best) : std::nullopt;
}

std::string list_words(std::span<const std::string> words, std::string_view conjunction) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0)
            out += i + 1 == words.size() ? " " + std::string(conjunction) + " " : ", ";
        out += words[i];
    }
    return out;
}

std::string suggest_word(std::string_view word, std::span<const std::string> known, std::string_view noun) {
    if (known.empty())
        return "there are no " + std::string(noun);
    if (const auto near = nearest_word(word, known))
        return "did you mean \"" + *near + "\"?";
    return "known " + std::string(noun) + ": " + list_words(known, "and");
}

std::string quote_text(std::string_view text, std::size_t max_bytes) {
    constexpr std::string_view kHexDigits = "0123456789abcdef";
    const bool cut = text.size() > max_bytes;
    if (cut) {
        std::size_t end = max_bytes;
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
            --end; // not inside a UTF-8 sequence
        text = text.substr(0, end);
    }
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += {'\\', c};
        else if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (byte < 0x20 || byte == 0x7f)
            (out += "\\u00") += {kHexDigits[byte >> 4], kHexDigits[byte & 15]};
        else
            out += c;
    }
    return out + (cut ? "...\"" : "\"");
}

} // namespace scxhost
