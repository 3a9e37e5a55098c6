// SPDX-License-Identifier: GPL-2.0-only
#include "host/config/toml_text.hpp"

#include "host/base/suggest.hpp"
#include "host/base/units.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <optional>

namespace scxhost {
namespace {

// Sections, sub-tables and dotted option names need three.
constexpr unsigned kMaxDepth = 16;
// An option may be an array of rows.
constexpr int kArrayDepth = 2;

bool is_key_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::unexpected<Error> fail_at(SourceLocation where, std::string what, std::string hint = {}) {
    return fail(
        Error{.kind = ErrorKind::kConfig, .what = std::move(what), .hint = std::move(hint), .where = std::move(where)});
}

std::string element_key(const std::string& key, std::size_t index) {
    return key + "[" + std::to_string(index) + "]";
}

Error table_in_array_at(const std::string& key, SourceLocation where) {
    return Error{.kind = ErrorKind::kConfig,
                 .what = key + ": a table inside an array is not allowed",
                 .hint = "a section is written with single brackets, [" + key.substr(0, key.find('[')) + "]",
                 .where = std::move(where)};
}

// Turns the library's tree into ours.
class Converter {
public:
    explicit Converter(const std::string& name)
        : name_(name) {}

    [[nodiscard]] Result<TomlTable> table(const toml::table& from, const std::string& prefix, unsigned depth) const {
        TomlTable out;
        for (const auto& [key, node] : from) {
            const SourceLocation key_where = place(key.source());
            if (!is_key_part(key.str()))
                return fail_at(key_where, "the key " + quote_text(key.str()) + " is not allowed",
                               "keys are made of letters, digits, '_' and '-'; sub-tables are written a.b");
            if (depth == kMaxDepth)
                return fail_at(key_where, "tables are nested more than " + std::to_string(kMaxDepth) + " deep");
            TomlNode item{
                .name = std::string(key.str()), .key_where = key_where, .where = place(node.source()), .content = {}};
            if (const toml::table* inner = node.as_table())
                item.content = SCXHOST_TRY(table(*inner, prefix + item.name + ".", depth + 1));
            else if (node.is_array_of_tables())
                item.content = SCXHOST_TRY(tables(*node.as_array(), prefix + item.name + ".", depth + 1));
            else
                item.content = SCXHOST_TRY(value(node, prefix + item.name, kArrayDepth));
            out.push_back(std::move(item));
        }
        std::ranges::sort(out, {},
                          [](const TomlNode& item) { return std::pair(item.key_where.line, item.key_where.column); });
        return out;
    }

private:
    [[nodiscard]] SourceLocation place(const toml::source_region& region) const {
        return {.file = name_, .line = region.begin.line, .column = region.begin.column};
    }

    [[nodiscard]] Result<TomlTables> tables(const toml::array& array, const std::string& prefix, unsigned depth) const {
        TomlTables out;
        for (const toml::node& element : array) {
            TomlTable inner = SCXHOST_TRY(table(*element.as_table(), prefix, depth));
            out.tables.emplace_back(place(element.source()), std::move(inner));
        }
        return out;
    }

    [[nodiscard]] Result<SettingValue> value(const toml::node& node, const std::string& key, int arrays_allowed) const {
        // In place: moving the variant into the result makes g++ 12 warn of members that were never set.
        if (const auto* flag = node.as_boolean())
            return Result<SettingValue>(std::in_place, flag->get());
        if (const auto* number = node.as_integer())
            return Result<SettingValue>(std::in_place, number->get());
        if (const auto* number = node.as_floating_point())
            return Result<SettingValue>(std::in_place, number->get());
        if (const auto* text = node.as_string())
            return Result<SettingValue>(std::in_place, text->get());
        if (const auto* array = node.as_array(); array && arrays_allowed > 0)
            return elements(*array, key, arrays_allowed - 1);
        if (node.is_array())
            return fail_at(place(node.source()),
                           key + ": arrays are nested more than " + std::to_string(kArrayDepth) + " deep");
        if (node.is_table())
            return fail(table_in_array_at(key, place(node.source())));
        return fail_at(place(node.source()), key + ": no setting takes a date or a time",
                       "put the value between quotes");
    }

    [[nodiscard]] Result<SettingValue> elements(const toml::array& array, const std::string& key,
                                                int arrays_allowed) const {
        std::vector<Setting> out;
        for (const toml::node& node : array) {
            const std::string name = element_key(key, out.size());
            const SourceLocation where = place(node.source());
            SettingValue element = SCXHOST_TRY(value(node, name, arrays_allowed));
            out.push_back(Setting{.key = name, .value = std::move(element), .where = where, .key_where = where});
        }
        return Result<SettingValue>(std::in_place, std::move(out));
    }

    const std::string& name_;
};

std::string_view line_at(std::string_view text, unsigned line) {
    for (; line > 1; --line)
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    return text.substr(0, text.find_first_of("\r\n"));
}

std::string_view trimmed(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && blank(text.back()))
        text.remove_suffix(1);
    return text;
}

// By far the most frequent syntax error is a word or a duration without quotes.
std::string quotes_hint(std::string_view line) {
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos)
        return {};
    const std::string_view key = trimmed(line.substr(0, equals));
    const std::string_view value = trimmed(line.substr(equals + 1, line.find('#', equals) - equals - 1));
    const bool text =
        std::isalnum(static_cast<unsigned char>(value.empty() ? '\0' : value.front())) != 0 || value.starts_with('/');
    const bool number = value.find_first_not_of("0123456789_.+-") == std::string_view::npos;
    if (!is_key_part(key) || !text || number || value.find_first_of("\"'[]{}\\=") != std::string_view::npos)
        return {};
    if (const auto flag = parse_bool(value); flag)
        return "write " + std::string(key) + " = " + (*flag ? "true" : "false");
    return "text stands between quotes: " + std::string(key) + " = " + quote_text(value);
}

std::unexpected<Error> syntax_error(const toml::parse_error& error, std::string_view text, const std::string& name) {
    const toml::source_position at = error.source().begin;
    std::string what(error.description());
    if (!what.empty())
        what.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(what.front())));
    return fail_at({.file = name, .line = at.line, .column = at.column}, "not valid TOML: " + what,
                   quotes_hint(line_at(text, at.line)));
}

std::optional<SourceLocation> find_nul(std::string_view text, const std::string& name) {
    const std::size_t at = text.find('\0');
    if (at == std::string_view::npos)
        return std::nullopt;
    const std::string_view before = text.substr(0, at);
    const std::size_t line_start = before.rfind('\n') + 1; // npos + 1 is 0
    return SourceLocation{.file = name,
                          .line = static_cast<unsigned>(std::ranges::count(before, '\n')) + 1,
                          .column = static_cast<unsigned>(at - line_start) + 1};
}

// A single TOML value; nullopt when the text is anything else, or more than that (a comment, a second line).
std::optional<SettingValue> read_value(std::string_view text) {
    const bool closed = text.ends_with('"') || text.ends_with('\'') || text.ends_with(']');
    if (text.find('\n') != std::string_view::npos || (text.find('#') != std::string_view::npos && !closed))
        return std::nullopt;
    auto table = parse_toml("v=" + std::string(text), {});
    if (!table || table->size() != 1)
        return std::nullopt;
    auto* value = std::get_if<SettingValue>(&table->front().content);
    return value ? std::optional(std::move(*value)) : std::nullopt;
}

// Elements of elements, too.
template <typename Visit>
void for_each_element(SettingValue& value, const Visit& visit) {
    if (auto* elements = std::get_if<std::vector<Setting>>(&value))
        for (Setting& element : *elements) {
            visit(element);
            for_each_element(element.value, visit);
        }
}

void name_elements(SettingValue& value, const std::string& key) {
    if (auto* elements = std::get_if<std::vector<Setting>>(&value))
        for (std::size_t i = 0; i < elements->size(); ++i) {
            (*elements)[i].key = element_key(key, i);
            name_elements((*elements)[i].value, (*elements)[i].key);
        }
}

} // namespace

Error table_in_array(const std::string& key, const TomlNode& node) {
    return table_in_array_at(element_key(key, 0), std::get<TomlTables>(node.content).tables.front().first);
}

bool is_key_part(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, is_key_char);
}

Result<TomlTable> parse_toml(std::string_view text, const std::string& name) {
    if (text.size() > kMaxTomlBytes)
        return fail_at({.file = name}, "larger than " + format_size(kMaxTomlBytes) + ": this is not a configuration");
    if (auto where = find_nul(text, name))
        return fail_at(std::move(*where), "a NUL byte: this is not a text file");
    try {
        return Converter(name).table(toml::parse(text, std::string_view(name)), {}, 0);
    } catch (const toml::parse_error& error) {
        return syntax_error(error, text, name);
    } catch (const std::exception& error) {
        return fail(ErrorKind::kInternal, "reading " + name + ": " + error.what());
    }
}

Setting make_setting(std::string key, SettingValue value, SourceLocation where, SourceLocation key_where) {
    name_elements(value, key);
    return Setting{
        .key = std::move(key), .value = std::move(value), .where = std::move(where), .key_where = std::move(key_where)};
}

Setting typed_setting(std::string key, std::string_view text, const SourceLocation& where) {
    Setting setting =
        make_setting(std::move(key), read_value(text).value_or(SettingValue(std::string(text))), where, where);
    for_each_element(setting.value, [&](Setting& element) { element.where = element.key_where = where; });
    setting.typed = std::string(text);
    return setting;
}

} // namespace scxhost
