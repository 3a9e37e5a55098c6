// SPDX-License-Identifier: GPL-2.0-only
//
// What the scx project's schedulers say about themselves, as text: the scx_stats protocol of their statistics socket
// (github.com/sched-ext/scx, rust/scx_stats). A question is a line of JSON, and so is its answer; statistics are
// structs of numbers, texts, structs, and arrays and dictionaries of these, which a second answer describes. All of it
// is foreign text, whose length the caller limits.
#pragma once

#include "host/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// With the end of their lines.
inline constexpr std::string_view kScxStatsQuestion = "{\"req\":\"stats\",\"args\":{}}\n";
inline constexpr std::string_view kScxStatsMetaQuestion = "{\"req\":\"stats_meta\",\"args\":{}}\n";

// More numbers in one answer are refused.
inline constexpr std::size_t kMaxScxStats = 4096;

// Descriptions of the structs in an answer.
class ScxStatsMeta {
public:
    struct Field {
        std::string help;
        std::string type; // name of the struct that it, its elements or its values are; empty: they are no structs
        bool is_float = false;
        bool is_dictionary = false; // the rest is said of its values
    };
    using Struct = std::map<std::string, Field, std::less<>>;

    // Of the line that answers kScxStatsMetaQuestion. What it does not describe as it should is left out. kIo: it is no
    // answer, or an error.
    static Result<ScxStatsMeta> parse(std::string_view line);

    // Of the answer as a whole; nullptr: it is not described.
    [[nodiscard]] const Struct* top() const { return find(top_); }
    [[nodiscard]] const Struct* find(std::string_view type) const;

private:
    std::string top_;
    std::map<std::string, Struct, std::less<>> structs_;
};

// One number of an answer.
struct ScxStat {
    std::string name;       // "layers.batch.util", "bits[2]"; printable ASCII
    std::string help;       // likewise; may be empty
    bool is_float = false;  // then `value` counts thousandths
    std::int64_t value = 0; // what does not fit is the nearest that does

    bool operator==(const ScxStat&) const = default;
};

// All numbers in the line that answers kScxStatsQuestion, in the order of their names in each struct. Texts are passed
// over, and so are numbers whose name would be longer than 128 bytes. kIo: it is no answer, an error, or has too many.
Result<std::vector<ScxStat>> parse_scx_stats(std::string_view line, const ScxStatsMeta& meta);

} // namespace scxhost
