// SPDX-License-Identifier: GPL-2.0-only
#include "host/config/setting.hpp"
#include "host/config/toml_text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace scxhost {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kWords{"fifo", "vtime"};

Setting from_file(SettingValue value) {
    return make_setting("key", std::move(value), {.file = "x.toml", .line = 3, .column = 7}, {});
}

Setting from_command_line(std::string_view text) {
    return typed_setting("key", text, {.file = "--set key"});
}

std::vector<Setting> elements(std::vector<SettingValue> values) {
    std::vector<Setting> out;
    for (SettingValue& value : values)
        out.push_back(Setting{.key = {}, .value = std::move(value)});
    return out;
}

TEST(Setting, ValuesOfAFileAreTakenAsTheyAre) {
    EXPECT_TRUE(from_file(true).as_bool().value());
    EXPECT_EQ(from_file(std::int64_t{-3}).as_integer().value(), -3);
    EXPECT_EQ(from_file("1.5s").as_duration().value(), 1500ms);
    EXPECT_EQ(from_file("64KiB").as_size().value(), 65536U);
    EXPECT_EQ(from_file(std::int64_t{512}).as_size().value(), 512U);
    EXPECT_EQ(from_file("text").as_string().value(), "text");
    EXPECT_EQ(from_file("vtime").as_choice(kWords).value(), 1U);
    EXPECT_EQ(from_file(elements({true, "x"})).as_array().value().size(), 2U);
}

TEST(Setting, WrongValuesOfAFileSayWhatWasFoundAndExpected) {
    const auto message = [](const auto& result) { return result ? "accepted" : result.error().what; };
    const auto hint = [](const auto& result) { return result ? "accepted" : result.error().hint; };
    const Setting flag = from_file(true);
    const Setting number = from_file(std::int64_t{20});
    const Setting real = from_file(1.5);
    const Setting text = from_file("20");
    const Setting yes = from_file("yes");
    const Setting array = from_file(elements({true}));

    EXPECT_EQ(message(number.as_bool()), "key: expected true or false, found the integer 20");
    EXPECT_EQ(message(yes.as_bool()), "key: expected true or false, found the string \"yes\"");
    EXPECT_EQ(hint(yes.as_bool()), "write true or false, without quotes");
    EXPECT_EQ(message(text.as_integer()), "key: expected an integer, found the string \"20\"");
    EXPECT_EQ(hint(text.as_integer()), "remove the quotes");
    EXPECT_EQ(message(real.as_integer()), "key: expected an integer, found the number 1.5");
    EXPECT_EQ(message(number.as_integer(1, 8)), "key: 20 is out of range: it must be from 1 to 8");
    EXPECT_EQ(message(number.as_duration()),
              "key: expected a duration with its unit, such as \"20ms\", found the integer 20");
    EXPECT_EQ(hint(number.as_duration()), "write \"20ms\" if milliseconds are meant; units: ns, us, ms, s, m, h");
    EXPECT_EQ(message(text.as_duration()), "key: \"20\" is not a duration: the unit is missing");
    EXPECT_EQ(message(from_file("5ms").as_duration(10ms, 1h)), "key: 5ms is out of range: it must be from 10ms to 1h");
    EXPECT_EQ(message(from_file("2h").as_duration(10ms, 1h)), "key: 2h is out of range: it must be from 10ms to 1h");
    EXPECT_EQ(message(array.as_size()), "key: expected a size, such as \"64KiB\", found an array");
    EXPECT_EQ(message(from_file(std::int64_t{-1}).as_size()), "key: -1 is not a size: it is negative");
    EXPECT_EQ(message(from_file("1M").as_size(0, 65536)), "key: 1MiB is out of range: it must be from 0 to 64KiB");
    EXPECT_EQ(message(flag.as_string()), "key: expected a string, found true");
    EXPECT_EQ(hint(flag.as_string()), "put the value between quotes");
    EXPECT_EQ(message(from_file("vtme").as_choice(kWords)), "key: expected fifo or vtime, found \"vtme\"");
    EXPECT_EQ(hint(from_file("vtme").as_choice(kWords)), "did you mean \"vtime\"?");
    EXPECT_EQ(message(number.as_array()), "key: expected an array, found the integer 20");
    EXPECT_EQ(hint(number.as_array()), "write [20]");

    const Error error = number.as_bool().error();
    EXPECT_EQ(error.kind, ErrorKind::kConfig);
    EXPECT_EQ(to_string(error.where.value()), "x.toml:3:7");
}

TEST(Setting, OnTheCommandLineQuotesMayBeMissing) {
    EXPECT_TRUE(from_command_line("true").as_bool().value());
    EXPECT_TRUE(from_command_line("yes").as_bool().value());
    EXPECT_TRUE(from_command_line("1").as_bool().value());
    EXPECT_FALSE(from_command_line("off").as_bool().value());
    EXPECT_EQ(from_command_line("1_000").as_integer().value(), 1000);
    EXPECT_EQ(from_command_line("0x10").as_integer().value(), 16);
    EXPECT_EQ(from_command_line("010").as_integer().value(), 10) << "no octal";
    EXPECT_EQ(from_command_line("10ms").as_duration().value(), 10ms);
    EXPECT_EQ(from_command_line("\"10ms\"").as_duration().value(), 10ms);
    EXPECT_EQ(from_command_line("64K").as_size().value(), 65536U);
    EXPECT_EQ(from_command_line("7").as_string().value(), "7");
    EXPECT_EQ(from_command_line("2026-01-01").as_string().value(), "2026-01-01");
    EXPECT_EQ(from_command_line("").as_string().value(), "");
    EXPECT_EQ(from_command_line("a=b#c").as_string().value(), "a=b#c");
    EXPECT_EQ(from_command_line("\"a#b\"").as_string().value(), "a#b");
    EXPECT_EQ(from_command_line("5 # five").as_string().value(), "5 # five");
    EXPECT_EQ(from_command_line("1\nx=2").as_string().value(), "1\nx=2") << "a second key is no key";
    EXPECT_EQ(from_command_line("fifo").as_choice(kWords).value(), 0U);
}

TEST(Setting, WrongValuesOfTheCommandLine) {
    const auto message = [](const auto& result) { return result ? "accepted" : to_string(*result.error().where); };
    EXPECT_EQ(message(from_command_line("maybe").as_bool()), "--set key");
    EXPECT_EQ(message(from_command_line("2").as_bool()), "--set key");
    EXPECT_EQ(message(from_command_line("x").as_integer()), "--set key");
    EXPECT_EQ(message(from_command_line("20").as_duration()), "--set key");
    EXPECT_EQ(from_command_line("x").as_integer().error().what, "key: \"x\" is not an integer");
}

TEST(Setting, ArraysOfTheCommandLine) {
    const auto words = from_command_line("a,b").as_array().value();
    ASSERT_EQ(words.size(), 2U);
    EXPECT_EQ(words[1].key, "key[1]");
    EXPECT_EQ(words[1].as_string().value(), "b");

    const auto numbers = from_command_line("1,2").as_array().value();
    ASSERT_EQ(numbers.size(), 2U);
    EXPECT_EQ(numbers[1].as_integer().value(), 2);

    const auto toml = from_command_line("[\"a,b\", 3]").as_array().value();
    ASSERT_EQ(toml.size(), 2U);
    EXPECT_EQ(toml[0].as_string().value(), "a,b");
    EXPECT_EQ(toml[1].key, "key[1]");
    EXPECT_EQ(to_string(toml[1].where), "--set key");

    EXPECT_EQ(from_command_line("").as_array().value().size(), 0U);
    EXPECT_EQ(from_command_line("7").as_array().value().size(), 1U);
}

TEST(Setting, ValuesAreWrittenAsToml) {
    EXPECT_EQ(format_value(true), "true");
    EXPECT_EQ(format_value(std::int64_t{-5}), "-5");
    EXPECT_EQ(format_value(2.0), "2.0");
    EXPECT_EQ(format_value(0.1), "0.1");
    EXPECT_EQ(format_value(std::string("a\"\n")), "\"a\\\"\\n\"");
    EXPECT_EQ(format_value(elements({std::int64_t{1}, "x"})), "[1, \"x\"]");
}

} // namespace
} // namespace scxhost
