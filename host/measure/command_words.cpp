// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/command_words.hpp"

#include <fmt/format.h>

namespace scxhost {
namespace {

constexpr std::string_view kBlanks = " \t\n";
constexpr std::string_view kForShells = ";|&<>`$*?";

class Splitter {
public:
    explicit Splitter(std::string_view text)
        : text_(text) {}

    Result<std::vector<std::string>> run() {
        while (at_ < text_.size()) {
            const char next = text_[at_++];
            if (kBlanks.find(next) != std::string_view::npos)
                end_word();
            else
                SCXHOST_TRY(take(next));
        }
        end_word();
        if (words_.empty())
            return fail(ErrorKind::kUsage, "the command is empty", "name a program and its arguments");
        return std::move(words_);
    }

private:
    Result<> take(char next) {
        in_word_ = true;
        if (next == '\'' || next == '"')
            return quoted(next);
        if (next == '\\') {
            if (at_ == text_.size())
                return fail(ErrorKind::kUsage, "the command ends with a backslash");
            next = text_[at_++];
        } else if (kForShells.find(next) != std::string_view::npos) {
            return fail(ErrorKind::kUsage,
                        fmt::format("the command has a '{}' outside of quotes, and no shell reads it", next),
                        "quote it, or name the shell: \"sh -c '…'\"");
        }
        word_ += next;
        return {};
    }

    Result<> quoted(char quote) {
        while (at_ < text_.size()) {
            char next = text_[at_++];
            if (next == quote)
                return {};
            if (quote == '"' && next == '\\' && at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\\'))
                next = text_[at_++];
            word_ += next;
        }
        return fail(ErrorKind::kUsage, fmt::format("the command has a {} that is not closed", quote));
    }

    void end_word() {
        if (in_word_)
            words_.push_back(std::move(word_));
        word_.clear();
        in_word_ = false;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::string word_;
    bool in_word_ = false;
    std::vector<std::string> words_;
};

} // namespace

Result<std::vector<std::string>> split_command(std::string_view text) {
    return Splitter(text).run();
}

} // namespace scxhost
