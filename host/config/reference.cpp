// SPDX-License-Identifier: GPL-2.0-only
//
// The configuration's reference for the documentation, written from the key table.
#include "host/config/config.hpp"
#include "host/config/key_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

namespace scxhost {
namespace {

std::string default_of(const KeySpec& spec) {
    if (!spec.default_text.empty())
        return std::string(spec.default_text);
    Config defaults;
    return format_key_value(spec, defaults);
}

// What stands for a default in the sample: exactly one of the three is required, so none has one. Empty for other keys.
std::string_view example_source(const KeySpec& spec) {
    if (spec.key == "scheduler.plugin")
        return "simple";
    if (spec.key == "scheduler.object")
        return "policy.bpf.o";
    return spec.key == "scheduler.program" ? "/usr/bin/scx_lavd" : "";
}

std::string default_cell(const KeySpec& spec) {
    if (!example_source(spec).empty())
        return "none";
    const std::string text = default_of(spec);
    return text.empty() ? "empty" : "`" + text + "`";
}

void begin_table(std::string& out, std::string_view title) {
    fmt::format_to(std::back_inserter(out), "### {}\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n",
                   title);
}

void add_row(std::string& out, const KeySpec& spec, std::string_view default_text) {
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} | {}. |\n", spec.key.substr(spec.key.find('.') + 1),
                   describe_kind(spec), default_text, spec.help);
}

void add_table(std::string& out, const std::string& section) {
    begin_table(out, "[" + section + "]");
    for (const KeySpec& spec : config_keys())
        if (spec.key.starts_with(section + "."))
            add_row(out, spec, default_cell(spec));
    out += '\n';
}

void add_branch_table(std::string& out) {
    begin_table(out, "[[below]]");
    for (const KeySpec& spec : branch_keys())
        add_row(out, spec, spec.default_text.empty() ? default_cell(spec) : spec.default_text);
    add_row(out, *find_branch_key("fallback"), "none: the scheduler above");
    add_row(out, *find_branch_key("probation"), "that of `[swap]`");
    out += "\nEvery key of `[scheduler]` is a key of `[[below]]` too.\n\n";
}

void add_delegate_table(std::string& out) {
    begin_table(out, "[[delegate]]");
    for (const KeySpec& spec : delegate_keys())
        add_row(out, spec, spec.default_text);
    out += '\n';
}

// Every key with its default. A key whose default cannot be written down stands in a comment.
void add_sample(std::string& out) {
    out += "### All keys with their defaults\n\n```toml\n";
    for (const std::string& section : config_sections()) {
        fmt::format_to(std::back_inserter(out), "[{}]\n", section);
        for (const KeySpec& spec : config_keys()) {
            const std::string name(spec.key.substr(spec.key.find('.') + 1));
            if (!spec.key.starts_with(section + ".") || std::holds_alternative<SettingsKey>(spec.kind) ||
                std::holds_alternative<CallsKey>(spec.kind))
                continue;
            if (const std::string_view source = example_source(spec); !source.empty())
                fmt::format_to(std::back_inserter(out), "{}{} = \"{}\"\n", spec.key == "scheduler.plugin" ? "" : "# ",
                               name, source);
            else if (!spec.default_text.empty())
                fmt::format_to(std::back_inserter(out), "# {} = {}\n", name, default_of(spec));
            else
                fmt::format_to(std::back_inserter(out), "{} = {}\n", name, default_of(spec));
        }
        for (const KeySpec& spec : config_keys())
            if (spec.key.starts_with(section + ".") && std::holds_alternative<SettingsKey>(spec.kind))
                fmt::format_to(std::back_inserter(out), "\n[{}]\n", spec.key);
        if (section != config_sections().back())
            out += '\n';
    }
    out += "```\n";
}

} // namespace

std::string config_reference_markdown() {
    std::string out;
    for (const std::string& section : config_sections())
        add_table(out, section);
    add_branch_table(out);
    add_delegate_table(out);
    add_sample(out);
    return out;
}

std::vector<ConfigKey> config_keys_to_set() {
    std::vector<ConfigKey> out;
    for (const KeySpec& spec : config_keys())
        if (!std::holds_alternative<SettingsKey>(spec.kind) && !std::holds_alternative<CallsKey>(spec.kind))
            out.push_back({std::string(spec.key), std::string(spec.help), words_of(spec)});
    return out;
}

} // namespace scxhost
