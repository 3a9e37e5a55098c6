// SPDX-License-Identifier: GPL-2.0-only
//
// The end of what a program has written, and how much it was. Bounded, whatever it writes. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace scxhost {

class ProgramOutput {
public:
    explicit ProgramOutput(std::size_t limit = 16U << 10U)
        : limit_(limit) {}

    void add(std::string_view text) {
        bytes_ += text.size();
        if (text.size() > limit_)
            text.remove_prefix(text.size() - limit_);
        tail_ += text;
        if (tail_.size() > 2 * limit_)
            tail_.erase(0, tail_.size() - limit_);
    }

    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    // The last `count` whole lines at most, of the last bytes that are kept. Bytes that no terminal should get are
    // replaced by '?'.
    [[nodiscard]] std::string last_lines(std::size_t count) const;

private:
    std::size_t limit_;
    std::uint64_t bytes_ = 0;
    std::string tail_;
};

} // namespace scxhost
