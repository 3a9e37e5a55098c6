// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/options.hpp"

#include "host/base/suggest.hpp"
#include "host/base/units.hpp"
#include "host/bpf/plain_options.hpp"
#include "host/kernel/kernel_btf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace scxhost {
namespace {

constexpr std::uint32_t kKernelDumpLength = 32768; // SCX_EXIT_DUMP_DFL_LEN

// The numeric value of an option that goes into the struct_ops.
std::uint64_t numeric_value(std::span<const std::byte> raw) {
    std::uint64_t value = 0;
    std::memcpy(&value, raw.data(), std::min(raw.size(), sizeof value));
    return value;
}

Result<> set_flag(SchedulerObject& object, const std::string& flag, const KernelBtf* kernel, std::string_view owner,
                  std::vector<std::string>& notes) {
    if (kernel == nullptr)
        return {};
    const std::optional<std::uint64_t> bit = kernel->enumerator(flag);
    if (!bit) {
        notes.push_back(fmt::format("this kernel has no {}, ignoring {}", flag, owner));
        return {};
    }
    return object.set_ops_member("flags", SCXHOST_TRY(object.ops_member("flags")) | *bit);
}

// The kernel's own value becomes the default, unless the option's limits exclude it: that is nobody's mistake.
void store_kernel_default(const OptionDeclaration& option, std::int64_t value, std::span<std::byte> raw,
                          std::vector<std::string>& notes) {
    const std::vector<std::byte> initial(raw.begin(), raw.end());
    std::memcpy(raw.data(), &value, std::min(raw.size(), sizeof value));
    if (check_default(option, raw))
        return;
    notes.push_back(fmt::format("this kernel's {}, {}, is outside of the limits of option '{}', ignoring it",
                                option.default_enumerator, format_option(option, raw), option.key));
    std::ranges::copy(initial, raw.begin());
}

// A callback can be taken out, and nothing else.
Result<> clear_callback(SchedulerObject& object, const Setting& setting) {
    const Result<bool> on = setting.as_bool();
    if (!on) {
        Error error = setting.error("this is a callback, and no number", "write false to take it out");
        error.where = setting.key_where;
        return fail(std::move(error));
    }
    if (*on)
        return fail(setting.error("a callback cannot be added", "write false to take it out, or remove the line"));
    const std::vector<std::string> members = object.ops_members_set();
    if (std::ranges::find(members, setting.key) == members.end()) {
        std::vector<std::string> callbacks;
        for (const std::string& member : members)
            if (object.is_ops_callback(member))
                callbacks.push_back(member);
        Error error = setting.error(fmt::format("'{}' has no such callback", object.name()),
                                    suggest_word(setting.key, callbacks, "callbacks"));
        error.where = setting.key_where;
        return fail(std::move(error));
    }
    return object.clear_ops_member(setting.key);
}

Result<> bind_ops_setting(SchedulerObject& object, const Setting& setting, const KernelBtf* kernel,
                          std::vector<std::string>& notes) {
    // On a command line names need no array around them: --set scheduler.ops.flags=SCX_OPS_ENQ_LAST,SCX_OPS_…
    const auto* text = std::get_if<std::string>(&setting.value);
    const bool is_name = text != nullptr && !parse_integer(*text);
    if (setting.key == "flags" && (is_name || std::holds_alternative<std::vector<Setting>>(setting.value))) {
        for (const Setting& flag : SCXHOST_TRY(setting.as_array())) {
            const std::string name = SCXHOST_TRY(flag.as_string());
            if (!name.starts_with("SCX_OPS_"))
                return fail(flag.error(fmt::format("{} is no flag of sched_ext_ops", quote_text(name)),
                                       "flags are written as in \"SCX_OPS_ENQ_LAST\""));
            SCXHOST_TRY(set_flag(object, name, kernel, "it", notes));
        }
        return {};
    }
    if (object.is_ops_callback(setting.key))
        return clear_callback(object, setting);
    if (setting.key == "name" || !object.has_ops_member(setting.key) || !object.ops_member(setting.key)) {
        Error error = setting.error("the scheduler's sched_ext_ops has no such number");
        error.hint = "numbers of sched_ext_ops are for example timeout_ms, exit_dump_len, dispatch_max_batch and flags";
        error.where = setting.key_where;
        return fail(std::move(error));
    }
    const std::int64_t value = SCXHOST_TRY(setting.as_integer(0));
    Result<> done = object.set_ops_member(setting.key, static_cast<std::uint64_t>(value));
    if (!done)
        return fail(setting.error(done.error().what));
    return {};
}

Error no_such_option(const SchedulerObject& object, const Setting& setting, std::string_view key) {
    const Declarations& declared = object.declarations();
    Error error;
    if (const std::optional<NoOption> known = why_no_option(object.btf(), declared, key)) {
        error = setting.error(fmt::format("'{}' has no such option: the variable {}", object.name(), known->why),
                              known->hint);
    } else {
        std::vector<std::string> keys;
        for (const OptionDeclaration& option : declared.options)
            keys.push_back(option.key);
        error = setting.error(fmt::format("'{}' has no such option", object.name()),
                              suggest_word(std::string(key), keys, "options"));
    }
    error.where = setting.key_where;
    return error;
}

} // namespace

Result<Binding> bind_options(SchedulerObject& object, std::span<const Setting> options, std::span<const Setting> ops,
                             const KernelBtf* kernel, const MachineFacts& machine) {
    const Declarations& declared = object.declarations();
    Binding binding;
    const auto bytes_of = [&](const OptionDeclaration& option) -> Result<std::span<std::byte>> {
        const std::span<std::byte> raw = object.variable_bytes(option.variable);
        if (raw.size() < option.storage.bytes() || raw.empty())
            return fail(ErrorKind::kObject, fmt::format("option '{}': its variable '{}' lies outside section {}",
                                                        option.key, option.variable.name, option.variable.section));
        return raw.first(option.storage.bytes());
    };

    for (const OptionDeclaration& option : declared.options) {
        const std::span<std::byte> raw = SCXHOST_TRY(bytes_of(option));
        if (kernel != nullptr && !option.default_enumerator.empty())
            if (const std::optional<std::uint64_t> value = kernel->enumerator(option.default_enumerator))
                store_kernel_default(option, static_cast<std::int64_t>(*value), raw, binding.notes);
        binding.values.push_back({option.key, {}, false});
    }

    for (const Setting& setting : options) {
        const OptionDeclaration* option = declared.find_option(setting.key);
        const std::optional<std::string_view> target = option == nullptr ? machine_target(setting.key) : std::nullopt;
        if (target)
            option = declared.find_option(*target);
        if (option == nullptr)
            return fail(no_such_option(object, setting, target.value_or(setting.key)));
        const std::span<std::byte> raw = SCXHOST_TRY(bytes_of(*option));
        if (target) {
            const MachineFact fact = SCXHOST_TRY(machine.find(setting));
            SCXHOST_TRY(store_fact(*option, setting, fact, raw));
        } else {
            SCXHOST_TRY(store_option(*option, setting, raw));
        }
        binding.values[static_cast<std::size_t>(option - declared.options.data())].set = true;
    }

    for (std::size_t i = 0; i < declared.options.size(); ++i) {
        const OptionDeclaration& option = declared.options[i];
        const std::span<std::byte> raw = SCXHOST_TRY(bytes_of(option));
        binding.values[i].text = format_option(option, raw);
        if (!option.ops_member.empty())
            SCXHOST_TRY(object.set_ops_member(option.ops_member, numeric_value(raw)));
        if (!option.ops_flag.empty() && numeric_value(raw) != 0)
            SCXHOST_TRY(
                set_flag(object, option.ops_flag, kernel, fmt::format("option '{}'", option.key), binding.notes));
    }
    for (const Setting& setting : ops)
        SCXHOST_TRY(bind_ops_setting(object, setting, kernel, binding.notes));

    std::uint64_t dump_length = kKernelDumpLength;
    if (const Result<std::uint64_t> own = object.ops_member("exit_dump_len"); own && *own != 0)
        dump_length = *own;
    SCXHOST_TRY(object.set_exit_dump_length(static_cast<std::uint32_t>(dump_length)));
    return binding;
}

} // namespace scxhost
