// SPDX-License-Identifier: GPL-2.0-only
//
// FNV-1a, 64 bits, over bytes that come in pieces: enough to tell two contents of one file apart, and no library
// needed. It is no protection against somebody who wants two contents to have one hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace scxhost {

class ContentHash {
public:
    void add(std::span<const std::byte> bytes) {
        for (const std::byte byte : bytes)
            value_ = (value_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3ULL;
    }
    [[nodiscard]] std::uint64_t value() const { return value_; }

    // Of bytes that are all there.
    [[nodiscard]] static std::uint64_t of(std::span<const std::byte> bytes) {
        ContentHash hash;
        hash.add(bytes);
        return hash.value();
    }

private:
    std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

} // namespace scxhost
