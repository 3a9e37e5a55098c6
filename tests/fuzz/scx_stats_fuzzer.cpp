// SPDX-License-Identifier: GPL-2.0-only
//
// What a program's statistics socket may say: two lines, the description and the numbers. Either is read or refused
// with a reason, and whatever is read can be shown.
#include "host/programs/scx_stats.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

void require(bool condition) {
    if (!condition)
        std::abort();
}

bool printable(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto meta = scxhost::ScxStatsMeta::parse(text.substr(0, end));
    require(meta || !meta.error().what.empty());
    const std::string_view numbers = text.substr(std::min(end + 1, text.size()));
    const auto stats = scxhost::parse_scx_stats(numbers, meta.value_or(scxhost::ScxStatsMeta()));
    if (!stats) {
        require(!stats.error().what.empty() && printable(stats.error().what.substr(0, 1)));
        return 0;
    }
    require(stats->size() <= scxhost::kMaxScxStats);
    for (const scxhost::ScxStat& stat : *stats)
        require(stat.name.size() <= 128 && printable(stat.name) && printable(stat.help));
    return 0;
}
