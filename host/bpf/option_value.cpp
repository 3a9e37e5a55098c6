// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/option_value.hpp"

#include "host/base/suggest.hpp"
#include "host/base/units.hpp"
#include "host/kernel/cgroup.hpp"
#include "host/kernel/namespaces.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>
#include <optional>

namespace scxhost {
namespace {

struct DurationUnit {
    std::string_view name;
    std::int64_t nanoseconds;
};
constexpr std::array kDurationUnits = {DurationUnit{"ns", 1}, DurationUnit{"us", 1'000}, DurationUnit{"ms", 1'000'000},
                                       DurationUnit{"s", 1'000'000'000}};

Result<std::int64_t> unit_of(const OptionDeclaration& option) {
    const auto row = std::ranges::find(kDurationUnits, option.unit, &DurationUnit::name);
    if (row == kDurationUnits.end())
        return fail(ErrorKind::kObject,
                    fmt::format("option '{}' counts in '{}', which is no unit of time", option.key, option.unit));
    return row->nanoseconds;
}

// Range of an integer variable; 64-bit unsigned ones end where TOML's integers end.
OptionLimits storage_limits(const Storage& storage) {
    const unsigned bits = storage.width * 8;
    if (storage.is_signed)
        return {bits == 64 ? std::numeric_limits<std::int64_t>::min() : -(std::int64_t{1} << (bits - 1)),
                bits == 64 ? std::numeric_limits<std::int64_t>::max() : (std::int64_t{1} << (bits - 1)) - 1};
    return {0, bits >= 63 ? std::numeric_limits<std::int64_t>::max() : (std::int64_t{1} << bits) - 1};
}

// One declared limit ("1us", "64K", "8") in the option's numbers.
Result<std::int64_t> parse_limit(const OptionDeclaration& option, const std::string& text) {
    switch (option.kind) {
    case OptionKind::kDuration:
        return SCXHOST_TRY(parse_duration(text)).count();
    case OptionKind::kSize: {
        const std::uint64_t bytes = SCXHOST_TRY(parse_size(text));
        return static_cast<std::int64_t>(
            std::min(bytes, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())));
    }
    default:
        return parse_integer(text);
    }
}

// a * b, or the nearest end of the range.
std::int64_t saturating_multiply(std::int64_t a, std::int64_t b) {
    std::int64_t product = 0;
    if (!__builtin_mul_overflow(a, b, &product))
        return product;
    return (a < 0) == (b < 0) ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

std::int64_t load_integer(std::span<const std::byte> raw, bool is_signed) {
    std::uint64_t value = 0;
    std::memcpy(&value, raw.data(), std::min(raw.size(), sizeof value));
    const unsigned bits = static_cast<unsigned>(raw.size()) * 8;
    if (is_signed && bits < 64 && (value >> (bits - 1) & 1U) != 0)
        value |= ~std::uint64_t{0} << bits;
    return static_cast<std::int64_t>(value);
}

void store_integer(std::span<std::byte> raw, std::int64_t value) {
    std::memcpy(raw.data(), &value, std::min(raw.size(), sizeof value));
}

// The numbers that limits apply to, as far as `raw` holds them: in nanoseconds for durations. Empty for other kinds.
std::vector<std::int64_t> limited_values(const OptionDeclaration& option, std::int64_t unit,
                                         std::span<const std::byte> raw) {
    const Storage& storage = option.storage;
    std::vector<std::int64_t> values;
    const bool is_list = option.kind == OptionKind::kIntegers;
    if (!is_list && option.kind != OptionKind::kInteger && option.kind != OptionKind::kDuration &&
        option.kind != OptionKind::kSize)
        return values;
    for (std::size_t at = 0; at + storage.width <= storage.bytes() && at + storage.width <= raw.size();
         at += storage.width) {
        const std::int64_t value = load_integer(raw.subspan(at, storage.width), storage.is_signed);
        // Unsigned numbers beyond TOML's are above every limit.
        values.push_back(!storage.is_signed && value < 0 ? std::numeric_limits<std::int64_t>::max()
                                                         : saturating_multiply(value, unit));
    }
    // A list may be shorter than its variable: the zeros at its end are no elements.
    while (is_list && !values.empty() && values.back() == 0)
        values.pop_back();
    return values;
}

// "0-3,8" into mask words.
Result<> store_cpus(const Setting& setting, std::span<std::byte> raw) {
    const std::string text = SCXHOST_TRY(setting.as_string());
    const auto bad = [&](std::string_view why) {
        return fail(setting.error(fmt::format("{} is no list of CPUs: {}", quote_text(text), why),
                                  "write numbers and ranges, as in \"0-3,8\""));
    };
    std::ranges::fill(raw, std::byte{0});
    const std::size_t limit = raw.size() * 8;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at != end) {
        std::size_t first = 0;
        auto [after, error] = std::from_chars(at, end, first);
        if (error != std::errc())
            return bad("a number is missing");
        std::size_t last = first;
        if (after != end && *after == '-') {
            const auto range = std::from_chars(after + 1, end, last);
            if (range.ec != std::errc() || last < first)
                return bad("a range has no end, or ends before it starts");
            after = range.ptr;
        }
        if (last >= limit)
            return bad(fmt::format("the scheduler handles CPUs below {}", limit));
        for (std::size_t cpu = first; cpu <= last; ++cpu)
            raw[cpu / 8] |= std::byte{1} << (cpu % 8); // little-endian words: bytes are in order
        if (after != end && *after != ',')
            return bad("numbers are separated by ','");
        at = after == end ? after : after + 1;
        if (after != end && at == end)
            return bad("a number is missing after the last ','");
    }
    return {};
}

// 0 is nobody and -1 the host itself; any other is a process as the kernel numbers it.
Result<std::int64_t> process_id(const Setting& setting, std::int64_t max) {
    const std::int64_t pid = SCXHOST_TRY(setting.as_integer(-1, max));
    // Inside a PID namespace nothing tells a process's number outside of it: its /proc shows none above its own.
    if (pid != 0 && !in_initial_pid_namespace())
        return fail(setting.error(
            "process numbers here are those of a PID namespace, and a scheduler sees those of the initial one",
            "leave the option out, or run scxhost in the initial PID namespace (containers: --pid=host)"));
    return pid == -1 ? ::getpid() : pid;
}

// One row of an array, or all of one that has no rows.
Result<> store_integers(const OptionDeclaration& option, const Setting& setting, OptionLimits limits,
                        std::span<std::byte> raw) {
    const std::vector<Setting> elements = SCXHOST_TRY(setting.as_array());
    const std::size_t width = option.storage.width;
    if (elements.size() > raw.size() / width)
        return fail(setting.error(fmt::format("{} numbers, at most {} fit", elements.size(), raw.size() / width)));
    for (std::size_t i = 0; i < elements.size(); ++i)
        store_integer(raw.subspan(i * width, width), SCXHOST_TRY(elements[i].as_integer(limits.min, limits.max)));
    return {};
}

Result<> store_table(const OptionDeclaration& option, const Setting& setting, OptionLimits limits,
                     std::span<std::byte> raw) {
    const std::vector<Setting> rows = SCXHOST_TRY(setting.as_array());
    if (rows.size() > option.storage.rows)
        return fail(setting.error(fmt::format("{} rows, at most {} fit", rows.size(), option.storage.rows)));
    const std::size_t row_bytes = raw.size() / option.storage.rows;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!std::holds_alternative<std::vector<Setting>>(rows[i].value))
            return fail(rows[i].error("expected a row, which is an array, found " + describe_value(rows[i].value),
                                      "write an array of rows, as in [[1, 2], [3, 4]]"));
        SCXHOST_TRY(store_integers(option, rows[i], limits, raw.subspan(i * row_bytes, row_bytes)));
    }
    return {};
}

Result<std::uint64_t> cgroup_id(const Setting& setting) {
    const std::string text = SCXHOST_TRY(setting.as_string());
    if (text.empty())
        return 0;
    Result<std::uint64_t> id = find_cgroup(text);
    if (!id)
        return fail(setting.error(id.error().what, std::move(id.error().hint)));
    return id;
}

// Arrays up to this length are shown in full; of longer ones the zeros at the end, which need not be written.
constexpr std::size_t kShownInFull = 16;

std::string format_integers(const Storage& storage, std::span<const std::byte> raw) {
    std::vector<std::string> values;
    for (std::size_t at = 0; at < raw.size(); at += storage.width) {
        const std::int64_t value = load_integer(raw.subspan(at, storage.width), storage.is_signed);
        values.push_back(storage.is_signed ? fmt::format("{}", value)
                                           : fmt::format("{}", static_cast<std::uint64_t>(value)));
    }
    if (values.size() > kShownInFull)
        while (!values.empty() && values.back() == "0")
            values.pop_back();
    return fmt::format("[{}]", fmt::join(values, ", "));
}

} // namespace

Result<OptionLimits> option_limits(const OptionDeclaration& option) {
    OptionLimits limits = storage_limits(option.storage);
    if (option.kind == OptionKind::kDuration) {
        const std::int64_t unit = SCXHOST_TRY(unit_of(option));
        limits = {0, saturating_multiply(limits.max, unit)};
    }
    if (option.kind == OptionKind::kSize)
        limits.min = 0;
    const auto narrow = [&](const std::string& text, bool is_min) -> Result<> {
        if (text.empty())
            return {};
        const Result<std::int64_t> value = parse_limit(option, text);
        if (!value)
            return fail(ErrorKind::kObject,
                        fmt::format("option '{}' declares the limit '{}': {}", option.key, text, value.error().what));
        if (is_min)
            limits.min = std::max(limits.min, *value);
        else
            limits.max = std::min(limits.max, *value);
        return {};
    };
    SCXHOST_TRY(narrow(option.min, true));
    SCXHOST_TRY(narrow(option.max, false));
    if (limits.min > limits.max)
        return fail(ErrorKind::kObject, fmt::format("option '{}' declares limits that exclude each other", option.key));
    return limits;
}

Result<> check_default(const OptionDeclaration& option, std::span<const std::byte> raw) {
    const OptionLimits limits = SCXHOST_TRY(option_limits(option));
    const std::int64_t unit = option.kind == OptionKind::kDuration ? SCXHOST_TRY(unit_of(option)) : 1;
    for (const std::int64_t value : limited_values(option, unit, raw)) {
        const bool too_small = !option.min.empty() && value < limits.min;
        if (too_small || (!option.max.empty() && value > limits.max))
            return fail(ErrorKind::kObject,
                        fmt::format("option '{}': its default {} is {} what its tag scx.{}={} allows", option.key,
                                    format_option(option, raw), too_small ? "less than" : "more than",
                                    too_small ? "min" : "max", too_small ? option.min : option.max));
    }
    return {};
}

Result<std::string> describe_option(const OptionDeclaration& option) {
    const std::string kind(to_string(option.kind));
    if (option.kind == OptionKind::kEnum)
        return fmt::format("one of {}", list_words(option.words));
    if (option.kind == OptionKind::kString)
        return fmt::format("string, at most {} bytes", option.storage.bytes() - 1);
    if (option.storage.rows > 1)
        return fmt::format("{}, {} rows of {}", kind, option.storage.rows, option.storage.count / option.storage.rows);
    if (option.min.empty() && option.max.empty())
        return kind;
    SCXHOST_TRY(option_limits(option));
    if (option.max.empty())
        return fmt::format("{}, at least {}", kind, option.min);
    if (option.min.empty())
        return fmt::format("{}, at most {}", kind, option.max);
    return fmt::format("{}, from {} to {}", kind, option.min, option.max);
}

std::string format_option(const OptionDeclaration& option, std::span<const std::byte> raw) {
    const Storage& storage = option.storage;
    if (raw.size() < storage.bytes())
        return "?";
    const std::int64_t value =
        storage.kind == StorageKind::kText ? 0 : load_integer(raw.first(storage.width), storage.is_signed);
    switch (option.kind) {
    case OptionKind::kBool:
        return value != 0 ? "true" : "false";
    case OptionKind::kInteger:
    case OptionKind::kPid:
        return storage.is_signed ? fmt::format("{}", value) : fmt::format("{}", static_cast<std::uint64_t>(value));
    case OptionKind::kDuration: {
        const Result<std::int64_t> unit = unit_of(option);
        const std::int64_t total = unit && value >= 0 ? saturating_multiply(value, *unit) : 0;
        return fmt::format("\"{}\"", format_duration(std::chrono::nanoseconds(total)));
    }
    case OptionKind::kSize:
        return fmt::format("\"{}\"", format_size(static_cast<std::uint64_t>(value)));
    case OptionKind::kEnum:
        for (std::size_t i = 0; i < option.words.size(); ++i)
            if (storage.enumerators[i].second == value)
                return fmt::format("\"{}\"", option.words[i]);
        return fmt::format("{}", value);
    case OptionKind::kString: {
        const char* text = reinterpret_cast<const char*>(raw.data());
        return format_value(std::string(text, ::strnlen(text, raw.size())));
    }
    case OptionKind::kCgroup:
        return value == 0 ? "\"\"" : fmt::format("\"cgroup id {}\"", value);
    case OptionKind::kCpus: {
        std::string text;
        for (std::size_t cpu = 0; cpu < raw.size() * 8; ++cpu) {
            const auto is_set = [&](std::size_t n) {
                return n < raw.size() * 8 && (raw[n / 8] >> (n % 8) & std::byte{1}) != std::byte{0};
            };
            if (!is_set(cpu))
                continue;
            std::size_t last = cpu;
            while (is_set(last + 1))
                ++last;
            text += fmt::format("{}{}", text.empty() ? "" : ",", cpu);
            if (last > cpu)
                text += fmt::format("-{}", last);
            cpu = last;
        }
        return fmt::format("\"{}\"", text);
    }
    case OptionKind::kIntegers: {
        const std::size_t row_bytes = storage.bytes() / storage.rows;
        if (storage.rows == 1)
            return format_integers(storage, raw.first(row_bytes));
        std::vector<std::string> rows;
        for (std::uint32_t i = 0; i < storage.rows; ++i)
            rows.push_back(format_integers(storage, raw.subspan(i * row_bytes, row_bytes)));
        while (rows.size() > kShownInFull && rows.back() == "[]")
            rows.pop_back();
        return fmt::format("[{}]", fmt::join(rows, ", "));
    }
    }
    return "?";
}

Result<> store_option(const OptionDeclaration& option, const Setting& setting, std::span<std::byte> raw) {
    const OptionLimits limits = SCXHOST_TRY(option_limits(option));
    switch (option.kind) {
    case OptionKind::kBool:
        store_integer(raw, SCXHOST_TRY(setting.as_bool()) ? 1 : 0);
        return {};
    case OptionKind::kInteger:
        store_integer(raw, SCXHOST_TRY(setting.as_integer(limits.min, limits.max)));
        return {};
    case OptionKind::kPid:
        store_integer(raw, SCXHOST_TRY(process_id(setting, limits.max)));
        return {};
    case OptionKind::kDuration: {
        const std::int64_t unit = SCXHOST_TRY(unit_of(option));
        const std::int64_t value =
            SCXHOST_TRY(setting.as_duration(std::chrono::nanoseconds(limits.min), std::chrono::nanoseconds(limits.max)))
                .count();
        if (value % unit != 0)
            return fail(setting.error(fmt::format("{} is not a whole number of {}",
                                                  format_duration(std::chrono::nanoseconds(value)), option.unit)));
        store_integer(raw, value / unit);
        return {};
    }
    case OptionKind::kSize:
        store_integer(raw, static_cast<std::int64_t>(SCXHOST_TRY(setting.as_size(
                               static_cast<std::uint64_t>(limits.min), static_cast<std::uint64_t>(limits.max)))));
        return {};
    case OptionKind::kEnum:
        store_integer(raw, option.storage.enumerators[SCXHOST_TRY(setting.as_choice(option.words))].second);
        return {};
    case OptionKind::kString: {
        const std::string text = SCXHOST_TRY(setting.as_string());
        if (text.size() >= raw.size())
            return fail(
                setting.error(fmt::format("the text has {} bytes, at most {} fit", text.size(), raw.size() - 1)));
        if (text.find('\0') != std::string::npos)
            return fail(setting.error("the text contains a NUL character"));
        std::ranges::fill(raw, std::byte{0});
        std::memcpy(raw.data(), text.data(), text.size());
        return {};
    }
    case OptionKind::kCpus:
        return store_cpus(setting, raw);
    case OptionKind::kCgroup:
        store_integer(raw, static_cast<std::int64_t>(SCXHOST_TRY(cgroup_id(setting))));
        return {};
    case OptionKind::kIntegers: {
        std::vector<std::byte> values(raw.size()); // what is left out is 0
        SCXHOST_TRY(option.storage.rows == 1 ? store_integers(option, setting, limits, values)
                                             : store_table(option, setting, limits, values));
        std::ranges::copy(values, raw.begin());
        return {};
    }
    }
    return fail(ErrorKind::kInternal, "an option kind has no rule");
}

Result<> store_fact(const OptionDeclaration& option, const Setting& setting, const MachineFact& fact,
                    std::span<std::byte> raw) {
    const Storage& storage = option.storage;
    const OptionLimits limits = SCXHOST_TRY(option_limits(option));
    const auto checked = [&](std::int64_t value) -> Result<std::int64_t> {
        // "None", which a variable without a sign holds as its greatest value.
        if (value == -1)
            return value;
        if (value < limits.min || value > limits.max)
            return fail(setting.error(fmt::format("{} of this machine, {}, is out of range: it must be {}",
                                                  quote_text(fact.name), value, describe_range(limits.min, limits.max)),
                                      "the object is built for other machines"));
        return value;
    };
    if (fact.is_per_cpu()) {
        const PerCpu& numbers = std::get<PerCpu>(fact.value);
        if (option.kind != OptionKind::kIntegers || storage.rows != 1)
            return fail(setting.error(fmt::format("{} is one number for each CPU, and '{}' is no array of integers",
                                                  quote_text(fact.name), option.key)));
        if (numbers.size() > storage.count)
            return fail(setting.error(fmt::format("{} has {} numbers on this machine, and '{}' has room for {}",
                                                  quote_text(fact.name), numbers.size(), option.key, storage.count),
                                      "the object is built for machines with fewer CPUs; an array that is alone in its "
                                      "section can be made larger in [scheduler.sizes]"));
        std::ranges::fill(raw, std::byte{0});
        for (std::size_t i = 0; i < numbers.size(); ++i)
            store_integer(raw.subspan(i * storage.width, storage.width), SCXHOST_TRY(checked(numbers[i])));
        return {};
    }
    const std::int64_t value = std::get<std::int64_t>(fact.value);
    switch (option.kind) {
    case OptionKind::kBool:
        store_integer(raw, value != 0 ? 1 : 0);
        return {};
    case OptionKind::kInteger:
    case OptionKind::kSize:
    case OptionKind::kPid:
        store_integer(raw, SCXHOST_TRY(checked(value)));
        return {};
    default:
        return fail(setting.error(fmt::format("{} is a number, and '{}' is none", quote_text(fact.name), option.key),
                                  fmt::format("'{}' is: {}", option.key, SCXHOST_TRY(describe_option(option)))));
    }
}

} // namespace scxhost
