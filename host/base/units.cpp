// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/units.hpp"

#include "host/base/suggest.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>

namespace scxhost {
namespace {

__extension__ using Wide = unsigned __int128;

struct Unit {
    std::string_view name;
    std::uint64_t scale;
};

// Largest first: the formatters take the first of equally short texts.
constexpr std::array kDurationUnits{
    Unit{"h", 3'600'000'000'000}, Unit{"m", 60'000'000'000}, Unit{"s", 1'000'000'000},
    Unit{"ms", 1'000'000},        Unit{"us", 1'000},         Unit{"ns", 1},
};

// The first name of each scale is the one that is written.
constexpr std::array kSizeUnits{
    Unit{"TiB", 1ULL << 40},
    Unit{"T", 1ULL << 40},
    Unit{"GiB", 1ULL << 30},
    Unit{"G", 1ULL << 30},
    Unit{"MiB", 1ULL << 20},
    Unit{"M", 1ULL << 20},
    Unit{"KiB", 1 << 10},
    Unit{"K", 1 << 10},
    Unit{"B", 1},
    Unit{"", 1},
};

constexpr std::string_view kDurationHint = "write a number and its unit, such as \"20ms\"; units: ns, us, ms, s, m, h";
constexpr std::string_view kSizeHint = "write a number of bytes, or a number and its unit, such as \"64KiB\"; units: "
                                       "B, K or KiB, M or MiB, G or GiB, T or TiB";

// More digits than this cannot matter: one nanosecond is 2.8e-13 h, one byte 9.1e-13 TiB, and a fraction that needs
// more is not a whole number of them.
constexpr std::size_t kMaxFractionDigits = 18;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// A decimal number without sign or exponent, split at its point; `rest` is what follows it.
struct Decimal {
    std::string_view whole;
    std::string_view fraction; // without trailing zeros
    std::string_view rest;
};

std::optional<Decimal> split_decimal(std::string_view text) {
    const auto digits_at = [text](std::size_t from) {
        std::size_t to = from;
        while (to < text.size() && is_digit(text[to]))
            ++to;
        return text.substr(from, to - from);
    };
    Decimal number;
    number.whole = digits_at(0);
    if (number.whole.empty())
        return std::nullopt;
    std::size_t end = number.whole.size();
    if (end < text.size() && text[end] == '.') {
        number.fraction = digits_at(end + 1);
        if (number.fraction.empty())
            return std::nullopt;
        end += 1 + number.fraction.size();
        while (number.fraction.ends_with('0'))
            number.fraction.remove_suffix(1);
    }
    number.rest = text.substr(end);
    return number;
}

std::optional<std::uint64_t> parse_digits(std::string_view digits) {
    std::uint64_t value = 0;
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (status != std::errc{} || end != digits.data() + digits.size())
        return std::nullopt;
    return value;
}

// What one kind of quantity is called and measured in.
struct Quantity {
    std::span<const Unit> units;
    std::string_view noun; // "duration"
    std::string_view atom; // "nanoseconds"
    std::string_view hint;
    std::uint64_t max;
};

constexpr Quantity kDuration{kDurationUnits, "duration", "nanoseconds", kDurationHint,
                             std::numeric_limits<std::int64_t>::max()};
constexpr Quantity kSize{kSizeUnits, "size", "bytes", kSizeHint, std::numeric_limits<std::uint64_t>::max()};

Result<std::uint64_t> parse_quantity(std::string_view text, const Quantity& quantity) {
    const auto refuse = [&](const std::string& why) {
        return fail(ErrorKind::kConfig, quote_text(text) + " is not a " + std::string(quantity.noun) + ": " + why,
                    std::string(quantity.hint));
    };
    if (text.empty())
        return refuse("it is empty");
    if (text.starts_with('-'))
        return refuse("it is negative");
    const auto number = split_decimal(text);
    if (!number)
        return refuse("it does not start with a number");
    const auto unit = std::ranges::find(quantity.units, number->rest, &Unit::name);
    if (unit == quantity.units.end())
        return refuse(number->rest.empty() ? std::string("the unit is missing")
                                           : quote_text(number->rest) + " is not a unit");

    const auto too_large = [&] { return refuse("it is too large"); };
    const auto whole = parse_digits(number->whole);
    if (!whole)
        return too_large();
    Wide value = Wide(*whole) * unit->scale;
    if (!number->fraction.empty()) {
        Wide ten_power = 1;
        for (std::size_t i = 0; i < std::min(number->fraction.size(), kMaxFractionDigits); ++i)
            ten_power *= 10;
        const Wide part = number->fraction.size() > kMaxFractionDigits
                              ? 1 // not exact: the last digit is not zero
                              : Wide(parse_digits(number->fraction).value_or(0)) * unit->scale;
        if (part % ten_power != 0)
            return refuse("it is not a whole number of " + std::string(quantity.atom));
        value += part / ten_power;
    }
    if (value > quantity.max)
        return too_large();
    return static_cast<std::uint64_t>(value);
}

// `value` in `unit` with as many decimals as it needs; nullopt when they do not end within nine or it is below one.
std::optional<std::string> format_in(std::uint64_t value, const Unit& unit) {
    constexpr std::size_t kMaxDecimals = 9;
    if (value < unit.scale)
        return std::nullopt;
    std::string text = std::to_string(value / unit.scale);
    Wide rest = value % unit.scale;
    if (rest != 0)
        text += '.';
    for (std::size_t i = 0; rest != 0; ++i) {
        if (i == kMaxDecimals)
            return std::nullopt;
        rest *= 10;
        text += static_cast<char>('0' + static_cast<int>(rest / unit.scale));
        rest %= unit.scale;
    }
    return text.append(unit.name);
}

} // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(SCXHOST_TRY(parse_quantity(text, kDuration))));
}

Result<std::uint64_t> parse_size(std::string_view text) {
    return parse_quantity(text, kSize);
}

Result<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max) {
    std::string_view digits = text;
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+'))
        digits.remove_prefix(1);
    int base = 10;
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
        digits.remove_prefix(2);
        base = 16;
    }
    std::uint64_t magnitude = 0;
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
    if (status == std::errc::invalid_argument || end != digits.data() + digits.size())
        return fail(ErrorKind::kConfig, quote_text(text) + " is not an integer",
                    "write digits only, or 0x and hex digits");

    const Wide limit = Wide(std::numeric_limits<std::int64_t>::max()) + (negative ? 1 : 0);
    const bool fits = status == std::errc{} && magnitude <= limit;
    const auto value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
    if (!fits || value < min || value > max)
        return fail(ErrorKind::kConfig, std::string(text) + " is out of range: it must be " + describe_range(min, max));
    return value;
}

Result<bool> parse_bool(std::string_view text) {
    constexpr std::array<std::string_view, 4> kTrue{"true", "yes", "on", "1"};
    constexpr std::array<std::string_view, 4> kFalse{"false", "no", "off", "0"};
    if (std::ranges::find(kTrue, text) != kTrue.end())
        return true;
    if (std::ranges::find(kFalse, text) != kFalse.end())
        return false;
    return fail(ErrorKind::kConfig, quote_text(text) + " is neither true nor false",
                "write true, yes, on or 1, or false, no, off or 0");
}

std::string format_duration(std::chrono::nanoseconds value) {
    std::string best;
    for (const Unit& unit : kDurationUnits) {
        const auto text = format_in(static_cast<std::uint64_t>(value.count()), unit);
        if (text && (best.empty() || text->size() < best.size()))
            best = *text;
    }
    return best.empty() ? "0s" : best;
}

std::string utc_time(std::chrono::system_clock::time_point time) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(time);
    const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(time - whole);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
                       rest.count());
}

std::string format_size(std::uint64_t bytes) {
    for (const Unit& unit : kSizeUnits)
        if (unit.scale > 1 && bytes >= unit.scale && bytes % unit.scale == 0)
            return std::to_string(bytes / unit.scale) + std::string(unit.name);
    return std::to_string(bytes);
}

std::string describe_range(std::int64_t min, std::int64_t max) {
    constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    if (min == kMin)
        return "at most " + std::to_string(max);
    if (max == kMax)
        return "at least " + std::to_string(min);
    return "from " + std::to_string(min) + " to " + std::to_string(max);
}

} // namespace scxhost
