// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/program_output.hpp"

namespace scxhost {

std::string ProgramOutput::last_lines(std::size_t count) const {
    std::string_view text = tail_;
    bool cut = bytes_ > tail_.size(); // in the middle of a line
    if (text.size() > limit_) {
        text.remove_prefix(text.size() - limit_);
        cut = true;
    }
    if (const std::size_t end = text.find('\n'); cut && end != std::string_view::npos)
        text.remove_prefix(end + 1);
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    std::size_t begin = text.size();
    for (; begin > 0; --begin)
        if (text[begin - 1] == '\n' && --count == 0)
            break;
    std::string lines(text.substr(begin));
    for (char& c : lines)
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            c = '?';
    return lines;
}

} // namespace scxhost
