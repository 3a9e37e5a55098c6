// SPDX-License-Identifier: GPL-2.0-only
#include "host/config/setting.hpp"

#include "host/base/overloaded.hpp"
#include "host/base/suggest.hpp"
#include "host/base/units.hpp"

#include <algorithm>
#include <charconv>

namespace scxhost {
namespace {

std::string format_number(double value) {
    char text[32];
    const auto [end, status] = std::to_chars(text, text + sizeof(text), value);
    std::string out = status == std::errc{} ? std::string(text, end) : std::string("nan");
    // TOML tells a floating-point number from an integer by its point, exponent or name.
    return out.find_first_of(".en") == std::string::npos ? out + ".0" : out;
}

std::unexpected<Error> mismatch(const Setting& setting, std::string_view expected, std::string hint = {}) {
    return fail(setting.error("expected " + std::string(expected) + ", found " + describe_value(setting.value),
                              std::move(hint)));
}

std::unexpected<Error> out_of_range(const Setting& setting, const std::string& found, const std::string& min,
                                    const std::string& max) {
    return fail(setting.error(found + " is out of range: it must be from " + min + " to " + max));
}

// The error of a text parser, which knows neither the key nor the place.
std::unexpected<Error> located(const Setting& setting, Error error) {
    return fail(setting.error(error.what, std::move(error.hint)));
}

// The text that a setting of a kind written as a string has; nullptr when it has another type.
const std::string* text_of(const Setting& setting) {
    return std::get_if<std::string>(&setting.value);
}

} // namespace

Result<bool> Setting::as_bool() const {
    if (const bool* flag = std::get_if<bool>(&value))
        return *flag;
    if (typed) {
        auto flag = parse_bool(*typed);
        if (!flag)
            return located(*this, std::move(flag).error());
        return *flag;
    }
    const std::string* text = text_of(*this);
    return mismatch(*this, "true or false", text && parse_bool(*text) ? "write true or false, without quotes" : "");
}

Result<std::int64_t> Setting::as_integer(std::int64_t min, std::int64_t max) const {
    const std::int64_t* number = std::get_if<std::int64_t>(&value);
    if (!number) {
        const std::string* text = text_of(*this);
        if (text && typed) {
            auto parsed = parse_integer(*text, min, max);
            return parsed ? std::move(parsed) : located(*this, std::move(parsed).error());
        }
        return mismatch(*this, "an integer", text && parse_integer(*text) ? "remove the quotes" : "");
    }
    if (*number < min || *number > max)
        return fail(error(std::to_string(*number) + " is out of range: it must be " + describe_range(min, max)));
    return *number;
}

Result<std::chrono::nanoseconds> Setting::as_duration(std::chrono::nanoseconds min,
                                                      std::chrono::nanoseconds max) const {
    const std::string* text = text_of(*this);
    if (!text) {
        const auto* number = std::get_if<std::int64_t>(&value);
        return mismatch(*this, "a duration with its unit, such as \"20ms\"",
                        number ? "write \"" + std::to_string(*number) +
                                     "ms\" if milliseconds are meant; units: ns, us, ms, s, m, h"
                               : "");
    }
    auto duration = parse_duration(*text);
    if (!duration)
        return located(*this, std::move(duration).error());
    if (*duration < min || *duration > max)
        return out_of_range(*this, *text, format_duration(min), format_duration(max));
    return duration;
}

Result<std::uint64_t> Setting::as_size(std::uint64_t min, std::uint64_t max) const {
    std::uint64_t bytes = 0;
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
        if (*number < 0)
            return fail(error(std::to_string(*number) + " is not a size: it is negative"));
        bytes = static_cast<std::uint64_t>(*number);
    } else if (const std::string* text = text_of(*this)) {
        auto parsed = parse_size(*text);
        if (!parsed)
            return located(*this, std::move(parsed).error());
        bytes = *parsed;
    } else {
        return mismatch(*this, "a size, such as \"64KiB\"");
    }
    if (bytes < min || bytes > max)
        return out_of_range(*this, format_size(bytes), format_size(min), format_size(max));
    return bytes;
}

Result<std::string> Setting::as_string() const {
    if (const std::string* text = text_of(*this))
        return *text;
    if (typed)
        return *typed;
    return mismatch(*this, "a string", "put the value between quotes");
}

Result<std::size_t> Setting::as_choice(std::span<const std::string> words) const {
    const std::string word = SCXHOST_TRY(as_string());
    const auto found = std::ranges::find(words, word);
    if (found == words.end()) {
        const auto near = nearest_word(word, words);
        return fail(error("expected " + list_words(words) + ", found " + quote_text(word),
                          near ? "did you mean \"" + *near + "\"?" : ""));
    }
    return static_cast<std::size_t>(found - words.begin());
}

Result<std::vector<Setting>> Setting::as_array() const {
    if (const auto* elements = std::get_if<std::vector<Setting>>(&value))
        return *elements;
    if (!typed)
        return mismatch(*this, "an array", "write " + format_value(std::vector{*this}));
    // On the command line: words separated by commas.
    std::vector<Setting> elements;
    std::string_view rest = *typed;
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string word(rest.substr(0, comma));
        elements.push_back(Setting{.key = key + "[" + std::to_string(elements.size()) + "]",
                                   .value = word,
                                   .where = where,
                                   .key_where = key_where,
                                   .typed = word});
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return elements;
}

Error Setting::error(std::string_view what, std::string hint) const {
    return Error{
        .kind = ErrorKind::kConfig, .what = key + ": " + std::string(what), .hint = std::move(hint), .where = where};
}

std::string describe_value(const SettingValue& value) {
    return std::visit(Overloaded{
                          [](bool flag) { return std::string(flag ? "true" : "false"); },
                          [](std::int64_t number) { return "the integer " + std::to_string(number); },
                          [](double number) { return "the number " + format_number(number); },
                          [](const std::string& text) { return "the string " + quote_text(text); },
                          [](const std::vector<Setting>&) { return std::string("an array"); },
                      },
                      value);
}

std::string format_value(const SettingValue& value) {
    return std::visit(Overloaded{
                          [](bool flag) { return std::string(flag ? "true" : "false"); },
                          [](std::int64_t number) { return std::to_string(number); },
                          [](double number) { return format_number(number); },
                          [](const std::string& text) { return quote_text(text, std::string::npos); },
                          [](const std::vector<Setting>& elements) {
                              std::string out = "[";
                              for (const Setting& element : elements)
                                  out += (out.size() > 1 ? ", " : "") + format_value(element.value);
                              return out + "]";
                          },
                      },
                      value);
}

} // namespace scxhost
