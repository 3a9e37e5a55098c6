// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/scx_stats.hpp"

#include "host/base/json_fields.hpp"
#include "host/base/limited_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace scxhost {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxName = 128; // bytes
constexpr std::size_t kMaxHelp = 256; // bytes
// From here on doubles do not fit.
constexpr double kTwoTo63 = 9223372036854775808.0;

// It goes to terminals, and to files of metrics.
std::string printable_ascii(std::string_view text, std::size_t limit) {
    std::string result(text.substr(0, limit));
    std::ranges::replace_if(result, [](char c) { return c < ' ' || c > '~'; }, '?');
    return result;
}

// What was asked for, or the error that came in its place.
Result<json> parse_response(std::string_view line) {
    json answer = parse_limited(line, kMaxDepth);
    const auto malformed = [] {
        return fail(ErrorKind::kIo,
                    "what the program's statistics socket answered is no answer of the scx_stats protocol",
                    R"(expected a line of JSON: {"errno":0,"args":{"resp":…}})");
    };
    if (!answer.is_object())
        return malformed();
    const auto number = answer.find("errno");
    const auto args = answer.find("args");
    if (number == answer.end() || !number->is_number_integer() || args == answer.end() || !args->is_object())
        return malformed();
    const auto response = args->find("resp");
    if (response == args->end())
        return malformed();
    if (*number != 0)
        return fail(ErrorKind::kIo, fmt::format("the program's statistics socket answered with error {}: {}",
                                                number->dump(), printable_ascii(json_text(*args, "resp"), kMaxHelp)));
    return std::move(*response);
}

// Of a field's kind: "u64", or {"struct":"Name"}.
void read_kind(const json& kind, ScxStatsMeta::Field& field) {
    if (kind.is_object())
        field.type = json_text(kind, "struct");
    field.is_float = kind == "float";
}

ScxStatsMeta::Field read_field(const json& described) {
    ScxStatsMeta::Field field;
    field.help = printable_ascii(json_text(described, "desc"), kMaxHelp);
    for (const char* form : {"datum", "array"})
        if (const auto kind = described.find(form); kind != described.end())
            read_kind(*kind, field);
    if (const auto dictionary = described.find("dict"); dictionary != described.end() && dictionary->is_object()) {
        field.is_dictionary = true;
        if (const auto kind = dictionary->find("datum"); kind != dictionary->end())
            read_kind(*kind, field);
    }
    return field;
}

std::int64_t to_integer(double value) {
    if (value >= kTwoTo63)
        return std::numeric_limits<std::int64_t>::max();
    if (value < -kTwoTo63)
        return std::numeric_limits<std::int64_t>::min();
    return std::llround(value);
}

class Walk {
public:
    explicit Walk(const ScxStatsMeta& meta)
        : meta_(meta) {}

    // `value`, under `name`; `field` describes it, or the dictionary that it is in; nullptr: nothing does.
    void add(const json& value, const std::string& name, const ScxStatsMeta::Field* field, bool in_dictionary = false) {
        if (name.size() > kMaxName || stats_.size() > kMaxScxStats)
            return;
        if (value.is_object() && field != nullptr && field->is_dictionary && !in_dictionary) {
            for (const auto& [key, element] : value.items())
                add(element, member_name(name, key), field, true);
        } else if (value.is_object()) {
            add_members(value, name, field == nullptr ? nullptr : meta_.find(field->type));
        } else if (value.is_array()) {
            for (std::size_t i = 0; i < value.size(); ++i)
                add(value[i], fmt::format("{}[{}]", name, i), field, true);
        } else if (value.is_number()) {
            add_number(value, name, field);
        }
    }
    void add_members(const json& object, const std::string& prefix, const ScxStatsMeta::Struct* type) {
        for (const auto& [key, value] : object.items()) {
            const ScxStatsMeta::Field* field = nullptr;
            if (type != nullptr)
                if (const auto described = type->find(key); described != type->end())
                    field = &described->second;
            add(value, member_name(prefix, key), field);
        }
    }
    std::vector<ScxStat> stats() && { return std::move(stats_); }

private:
    static std::string member_name(const std::string& prefix, std::string_view key) {
        const std::string name = printable_ascii(key, kMaxName);
        return prefix.empty() ? name : prefix + "." + name;
    }
    void add_number(const json& value, const std::string& name, const ScxStatsMeta::Field* field) {
        ScxStat stat{.name = name, .help = field == nullptr ? "" : field->help};
        stat.is_float = value.is_number_float() || (field != nullptr && field->is_float);
        if (stat.is_float)
            stat.value = to_integer(value.get<double>() * 1000);
        else if (value.is_number_unsigned())
            stat.value = static_cast<std::int64_t>(
                std::min<std::uint64_t>(value.get<std::uint64_t>(), std::numeric_limits<std::int64_t>::max()));
        else
            stat.value = value.get<std::int64_t>();
        stats_.push_back(std::move(stat));
    }

    const ScxStatsMeta& meta_;
    std::vector<ScxStat> stats_;
};

} // namespace

Result<ScxStatsMeta> ScxStatsMeta::parse(std::string_view line) {
    const json structs = SCXHOST_TRY(parse_response(line));
    ScxStatsMeta meta;
    if (!structs.is_object())
        return meta;
    for (const auto& [name, described] : structs.items()) {
        const auto fields = described.find("fields");
        if (!described.is_object() || fields == described.end() || !fields->is_object())
            continue;
        Struct& type = meta.structs_[name];
        for (const auto& [field, description] : fields->items())
            if (description.is_object())
                type.emplace(field, read_field(description));
        if (described.contains("top"))
            meta.top_ = name;
    }
    return meta;
}

const ScxStatsMeta::Struct* ScxStatsMeta::find(std::string_view type) const {
    const auto found = structs_.find(type);
    return found == structs_.end() ? nullptr : &found->second;
}

Result<std::vector<ScxStat>> parse_scx_stats(std::string_view line, const ScxStatsMeta& meta) {
    const json response = SCXHOST_TRY(parse_response(line));
    Walk walk(meta);
    if (response.is_object())
        walk.add_members(response, "", meta.top());
    std::vector<ScxStat> stats = std::move(walk).stats();
    if (stats.size() > kMaxScxStats)
        return fail(ErrorKind::kIo, fmt::format("the program's statistics have more than {} numbers", kMaxScxStats));
    return stats;
}

} // namespace scxhost
