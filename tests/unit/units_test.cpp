// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/units.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

constexpr auto kMaxNs = std::chrono::nanoseconds::max();
constexpr auto kMinInt = std::numeric_limits<std::int64_t>::min();
constexpr auto kMaxInt = std::numeric_limits<std::int64_t>::max();

TEST(Units, DurationsAreRead) {
    const struct {
        const char* text;
        std::chrono::nanoseconds value;
    } cases[] = {
        {"0s", 0ns},
        {"1ns", 1ns},
        {"10us", 10us},
        {"20ms", 20ms},
        {"1.5s", 1500ms},
        {"2m", 120s},
        {"1h", 3600s},
        {"0.25h", 900s},
        {"1.500s", 1500ms},
        {"007ms", 7ms},
        {"0.000000001s", 1ns},
        {"9223372036854775807ns", kMaxNs},
        {"9223372036.854775807s", kMaxNs},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.text);
        const auto value = parse_duration(test.text);
        ASSERT_TRUE(value) << value.error().what;
        EXPECT_EQ(value->count(), test.value.count());
    }
}

TEST(Units, BadDurationsAreRefusedWithTheReason) {
    const struct {
        const char* text;
        const char* what;
    } cases[] = {
        {"", R"("" is not a duration: it is empty)"},
        {"20", R"("20" is not a duration: the unit is missing)"},
        {"20sec", R"("20sec" is not a duration: "sec" is not a unit)"},
        {"20 ms", R"("20 ms" is not a duration: " ms" is not a unit)"},
        {"20MS", R"("20MS" is not a duration: "MS" is not a unit)"},
        {"1m30s", R"("1m30s" is not a duration: "m30s" is not a unit)"},
        {"-1s", R"("-1s" is not a duration: it is negative)"},
        {"ms", R"("ms" is not a duration: it does not start with a number)"},
        {".5s", R"(".5s" is not a duration: it does not start with a number)"},
        {"1.s", R"("1.s" is not a duration: it does not start with a number)"},
        {"+1s", R"("+1s" is not a duration: it does not start with a number)"},
        {"1e3s", R"("1e3s" is not a duration: "e3s" is not a unit)"},
        {"1.5ns", R"("1.5ns" is not a duration: it is not a whole number of nanoseconds)"},
        {"1.0000000001s", R"("1.0000000001s" is not a duration: it is not a whole number of nanoseconds)"},
        {"0.00000000000000000001h",
         R"("0.00000000000000000001h" is not a duration: it is not a whole number of nanoseconds)"},
        {"9223372036854775808ns", R"("9223372036854775808ns" is not a duration: it is too large)"},
        {"2562048h", R"("2562048h" is not a duration: it is too large)"},
        {"99999999999999999999999s", R"("99999999999999999999999s" is not a duration: it is too large)"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.text);
        const auto value = parse_duration(test.text);
        ASSERT_FALSE(value);
        EXPECT_EQ(value.error().kind, ErrorKind::kConfig);
        EXPECT_EQ(value.error().what, test.what);
        EXPECT_EQ(value.error().hint, "write a number and its unit, such as \"20ms\"; units: ns, us, ms, s, m, h");
    }
}

TEST(Units, SizesAreRead) {
    const struct {
        const char* text;
        std::uint64_t value;
    } cases[] = {
        {"0", 0},
        {"512", 512},
        {"512B", 512},
        {"64K", 65536},
        {"32KiB", 32768},
        {"1MiB", 1 << 20},
        {"1.5M", 3 << 19},
        {"2G", 2ULL << 30},
        {"1TiB", 1ULL << 40},
        {"0.25K", 256},
        {"18446744073709551615", 18446744073709551615ULL},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.text);
        const auto value = parse_size(test.text);
        ASSERT_TRUE(value) << value.error().what;
        EXPECT_EQ(*value, test.value);
    }
}

TEST(Units, BadSizesAreRefusedWithTheReason) {
    const struct {
        const char* text;
        const char* what;
    } cases[] = {
        {"", R"("" is not a size: it is empty)"},
        {"64KB", R"("64KB" is not a size: "KB" is not a unit)"},
        {"64k", R"("64k" is not a size: "k" is not a unit)"},
        {"-1", R"("-1" is not a size: it is negative)"},
        {"0x10", R"("0x10" is not a size: "x10" is not a unit)"},
        {"1.5", R"("1.5" is not a size: it is not a whole number of bytes)"},
        {"18446744073709551616", R"("18446744073709551616" is not a size: it is too large)"},
        {"16777216TiB", R"("16777216TiB" is not a size: it is too large)"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.text);
        const auto value = parse_size(test.text);
        ASSERT_FALSE(value);
        EXPECT_EQ(value.error().what, test.what);
    }
}

TEST(Units, IntegersAreRead) {
    const struct {
        const char* text;
        std::int64_t value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"16384", 16384},
        {"+7", 7},
        {"-1", -1},
        {"0x10", 16},
        {"-0X1f", -31},
        {"9223372036854775807", kMaxInt},
        {"-9223372036854775808", kMinInt},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.text);
        const auto value = parse_integer(test.text);
        ASSERT_TRUE(value) << value.error().what;
        EXPECT_EQ(*value, test.value);
    }
}

TEST(Units, BadIntegersAreRefusedWithTheReason) {
    const struct {
        const char* text;
        std::int64_t min;
        std::int64_t max;
        const char* what;
    } cases[] = {
        {"", kMinInt, kMaxInt, R"("" is not an integer)"},
        {"-", kMinInt, kMaxInt, R"("-" is not an integer)"},
        {"0x", kMinInt, kMaxInt, R"("0x" is not an integer)"},
        {"+-5", kMinInt, kMaxInt, R"("+-5" is not an integer)"},
        {"1_000", kMinInt, kMaxInt, R"("1_000" is not an integer)"},
        {"5 ", kMinInt, kMaxInt, R"("5 " is not an integer)"},
        {"1.0", kMinInt, kMaxInt, R"("1.0" is not an integer)"},
        {"9", 1, 8, "9 is out of range: it must be from 1 to 8"},
        {"0", 1, 8, "0 is out of range: it must be from 1 to 8"},
        {"0", 1, kMaxInt, "0 is out of range: it must be at least 1"},
        {"1", kMinInt, 0, "1 is out of range: it must be at most 0"},
        {"9223372036854775808", 0, kMaxInt, "9223372036854775808 is out of range: it must be at least 0"},
        {"-9223372036854775809", kMinInt, 0, "-9223372036854775809 is out of range: it must be at most 0"},
        {"0xffffffffffffffffff", 0, 8, "0xffffffffffffffffff is out of range: it must be from 0 to 8"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.text);
        const auto value = parse_integer(test.text, test.min, test.max);
        ASSERT_FALSE(value);
        EXPECT_EQ(value.error().what, test.what);
    }
}

TEST(Units, TruthValuesOfTheCommandLine) {
    for (const char* text : {"true", "yes", "on", "1"})
        EXPECT_TRUE(parse_bool(text).value()) << text;
    for (const char* text : {"false", "no", "off", "0"})
        EXPECT_FALSE(parse_bool(text).value()) << text;
    for (const char* text : {"", "TRUE", "y", "2", "enable"})
        EXPECT_FALSE(parse_bool(text).has_value()) << text;
}

TEST(Units, DurationsAreWrittenShort) {
    const struct {
        std::chrono::nanoseconds value;
        const char* text;
    } cases[] = {
        {0ns, "0s"},
        {1ns, "1ns"},
        {20ms, "20ms"},
        {100ms, "100ms"},
        {1500ms, "1.5s"},
        {1500us, "1.5ms"},
        {60s, "1m"},
        {90s, "90s"},
        {3600s, "1h"},
        {5400s, "90m"},
        {1000000001ns, "1.000000001s"},
        {kMaxNs, "9223372036.854775807s"},
    };
    for (const auto& test : cases) {
        EXPECT_EQ(format_duration(test.value), test.text);
        EXPECT_EQ(parse_duration(test.text).value(), test.value) << test.text;
    }
}

TEST(Units, SizesAreWrittenInTheLargestUnitThatDividesThem) {
    const struct {
        std::uint64_t value;
        const char* text;
    } cases[] = {
        {0, "0"},
        {1000, "1000"},
        {1024, "1KiB"},
        {65536, "64KiB"},
        {3 << 19, "1536KiB"},
        {1ULL << 40, "1TiB"},
        {1ULL << 50, "1024TiB"},
        {18446744073709551615ULL, "18446744073709551615"},
    };
    for (const auto& test : cases) {
        EXPECT_EQ(format_size(test.value), test.text);
        EXPECT_EQ(parse_size(test.text).value(), test.value) << test.text;
    }
}

// Whatever the value, the text that is written reads back to it.
TEST(Units, WrittenDurationsReadBack) {
    std::uint64_t random = 88172645463325252ULL;
    for (int i = 0; i < 2000; ++i) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const std::chrono::nanoseconds value(static_cast<std::int64_t>(random >> (1 + i % 60)));
        const std::string text = format_duration(value);
        const auto back = parse_duration(text);
        ASSERT_TRUE(back) << text;
        ASSERT_EQ(*back, value) << text;
    }
}

TEST(Units, TimesAreUtcToTheMillisecondBefore) {
    using Time = std::chrono::system_clock::time_point;
    EXPECT_EQ(utc_time(Time()), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(utc_time(Time(std::chrono::seconds(1769903999) + 123'999us)), "2026-01-31T23:59:59.123Z");
    EXPECT_EQ(utc_time(Time(-1us)), "1969-12-31T23:59:59.999Z");
}

} // namespace
} // namespace scxhost
