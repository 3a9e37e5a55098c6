// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/object_setup.hpp"

#include "host/base/suggest.hpp"
#include "host/base/units.hpp"
#include "host/bpf/typed_value.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>

namespace scxhost {
namespace {

// What a configuration can set at most: the sizes are the object's, which may be hostile, and are not the kernel's yet.
constexpr std::uint32_t kMaxKeyBytes = 512;
constexpr std::uint32_t kMaxValueBytes = 16U << 20U;
constexpr std::size_t kMaxContextBytes = 65535; // U16_MAX, for a syscall program (bpf_prog_test_run_syscall in 7.3.4)

// What comes before the first dot, and what after it.
std::pair<std::string, std::string> split(const std::string& key) {
    const std::size_t dot = key.find('.');
    return {key.substr(0, dot), dot == std::string::npos ? std::string() : key.substr(dot + 1)};
}

std::unexpected<Error> fail_at_key(const Setting& setting, std::string what, std::string hint = {}) {
    Error error = setting.error(what, std::move(hint));
    error.where = setting.key_where;
    return fail(std::move(error));
}

// The number that `setting` is, or the fact of the machine that it asks for.
Result<std::int64_t> entries_of(const Setting& setting, bool is_fact, const MachineFacts& machine) {
    constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
    if (!is_fact)
        return setting.as_integer(1, kMax);
    const MachineFact fact = SCXHOST_TRY(machine.find(setting));
    if (fact.is_per_cpu())
        return fail(setting.error(fmt::format("{} is one number for each CPU, and no size", quote_text(fact.name)),
                                  "a size is \"cpus\", \"nodes\" or \"llcs\""));
    const std::int64_t size = std::get<std::int64_t>(fact.value);
    if (size < 1 || size > kMax)
        return fail(setting.error(fmt::format("{} is {} on this machine, and no size", quote_text(fact.name), size)));
    return size;
}

// Maps that were written as maps in the source.
std::vector<std::string> map_names(const SchedulerObject& object) {
    std::vector<std::string> names;
    for (const SchedulerObject::MapFacts& map : object.maps())
        names.push_back(map.name);
    return names;
}

struct Context {
    std::uint32_t type_id = 0; // of the struct; 0: not known
    std::uint32_t bytes = 0;
    std::string described; // its type as the source has it
};

// What the program's only argument points to.
Context context_of(const BtfView& btf, const std::string& program) {
    const std::int32_t id = btf__find_by_name_kind(btf.raw(), program.c_str(), BTF_KIND_FUNC);
    const btf_type* function = id <= 0 ? nullptr : btf__type_by_id(btf.raw(), static_cast<std::uint32_t>(id));
    const btf_type* prototype = function == nullptr ? nullptr : btf__type_by_id(btf.raw(), function->type);
    if (prototype == nullptr || !btf_is_func_proto(prototype) || btf_vlen(prototype) == 0)
        return {.described = "nothing"};
    const std::optional<ResolvedType> argument = btf.resolve(btf_params(prototype)[0].type);
    if (!argument || !btf_is_ptr(argument->type))
        return {.described = btf.describe(btf_params(prototype)[0].type)};
    const std::uint32_t target = argument->type->type;
    const std::optional<ResolvedType> pointed = btf.resolve(target);
    Context context{.described = target == 0 ? "void" : btf.describe(target)};
    if (!pointed || !btf_is_struct(pointed->type))
        return context;
    context.type_id = target;
    context.bytes = btf.size_of(target).value_or(0);
    return context;
}

} // namespace

Result<std::vector<std::pair<std::string, std::string>>>
set_sizes(SchedulerObject& object, std::span<const Setting> sizes, const MachineFacts& machine) {
    std::vector<std::pair<std::string, std::string>> texts;
    for (const Setting& setting : sizes) {
        const std::optional<std::string_view> target = machine_target(setting.key);
        const std::string name(target.value_or(setting.key));
        const std::int64_t entries = SCXHOST_TRY(entries_of(setting, target.has_value(), machine));
        const Result<> resized = object.resize(name, static_cast<std::uint32_t>(entries));
        if (!resized)
            return fail_at_key(setting, resized.error().what, resized.error().hint);
        texts.emplace_back("sizes." + name, fmt::format("{}", entries));
    }
    return texts;
}

std::vector<std::string> context_members(const SchedulerObject& object, const OtherPrograms::Program& program) {
    if (!program.section.starts_with("syscall"))
        return {};
    const Context context = context_of(object.btf(), program.name);
    return context.type_id == 0 ? std::vector<std::string>() : settable_parts(object.btf(), context.type_id);
}

Result<> ObjectSetup::bind_programs(SchedulerObject& object, std::span<const Setting> settings) {
    for (const Setting& setting : settings) {
        const bool load = SCXHOST_TRY(setting.as_bool());
        const bpf_program* program = object.find_program(setting.key.c_str());
        if (program == nullptr) {
            std::vector<std::string> names;
            for (const OtherPrograms::Program& other : object.other_programs())
                names.push_back(other.name);
            return fail_at_key(setting, fmt::format("'{}' has no such program", object.name()),
                               suggest_word(setting.key, names, "programs"));
        }
        if (bpf_program__type(program) == BPF_PROG_TYPE_STRUCT_OPS)
            return fail_at_key(setting, "this program is a callback of the scheduler",
                               "a callback is taken out by the name that it has in the sched_ext_ops: in "
                               "[scheduler.ops], write CALLBACK = false");
        object.set_program_loaded(setting.key, load);
        texts_.emplace_back("bpf_programs." + setting.key, load ? "true" : "false");
    }
    return {};
}

Result<> ObjectSetup::bind_variable(const SchedulerObject& object, const Setting& setting,
                                    const MachineFacts& machine) {
    const auto [name, path] = split(setting.key);
    const VariablePlace* variable = object.btf().find_variable(name);
    if (variable == nullptr) {
        std::vector<std::string> names;
        for (const VariablePlace& other : object.btf().variables())
            if (object.is_settable(other))
                names.push_back(other.name);
        return fail_at_key(setting, fmt::format("'{}' has no such global variable", object.name()),
                           suggest_word(name, names, "variables"));
    }
    if (variable->is_read_only())
        return fail_at_key(setting, "this variable is read-only once the object is loaded",
                           "it is an option: set it in [scheduler.options]");
    if (!object.is_settable(*variable))
        return fail_at_key(setting,
                           fmt::format("this variable, in {}, is not the configuration's to set", variable->section));
    if (variable->size > kMaxValueBytes)
        return fail_at_key(setting, fmt::format("this variable has {} bytes, and only one of up to {} can be set",
                                                variable->size, kMaxValueBytes));
    std::vector<std::byte> whole(variable->size);
    const StoredPart part = SCXHOST_TRY(store_part(object.btf(), {variable->type_id, whole}, path, setting, machine));
    VariableWrite write{.name = setting.key, .place = *variable, .bytes = {}};
    write.place.offset += part.offset;
    write.place.size = part.bytes;
    const auto begin = whole.begin() + part.offset;
    write.bytes.assign(begin, begin + part.bytes);
    variables_.push_back(std::move(write));
    texts_.emplace_back(fmt::format("variables.{}{}{}", name, part.path.empty() ? "" : ".", part.path), part.text);
    return {};
}

Result<> ObjectSetup::bind_map_entry(const SchedulerObject& object, const Setting& setting,
                                     const MachineFacts& machine) {
    const auto [name, rest] = split(setting.key);
    const auto [key_text, path] = split(rest);
    const std::optional<SchedulerObject::MapFacts> map = object.find_map_facts(name);
    if (!map)
        return fail_at_key(setting, fmt::format("'{}' has no such map", object.name()),
                           suggest_word(name, map_names(object), "maps"));
    const bool is_array = map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY;
    const bool is_hash = map->type == BPF_MAP_TYPE_HASH || map->type == BPF_MAP_TYPE_LRU_HASH ||
                         map->type == BPF_MAP_TYPE_PERCPU_HASH || map->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
    if (!is_array && !is_hash)
        return fail_at_key(setting, "this map has no entries by key that could be set",
                           "arrays and hash tables have, per CPU or not");
    if (key_text.empty())
        return fail_at_key(setting, "it does not say which entry",
                           fmt::format("write the entry's key: [scheduler.maps.{}] KEY = VALUE", name));

    if (map->key_size > kMaxKeyBytes || map->value_size > kMaxValueBytes)
        return fail_at_key(setting,
                           fmt::format("entries of this map have {} and {} bytes, and only keys of up to {} and "
                                       "values of up to {} can be set",
                                       map->key_size, map->value_size, kMaxKeyBytes, kMaxValueBytes));
    std::vector<std::byte> key(map->key_size);
    Setting key_setting{.key = fmt::format("{}.{}", name, key_text),
                        .value = key_text,
                        .where = setting.key_where,
                        .key_where = setting.key_where,
                        .typed = key_text};
    SCXHOST_TRY(store_part(object.btf(), {is_array ? 0 : map->key_type_id, key}, {}, key_setting, machine));
    if (is_array) {
        std::uint32_t index = 0;
        std::memcpy(&index, key.data(), std::min(key.size(), sizeof index));
        if (index >= map->max_entries)
            return fail_at_key(setting, fmt::format("this map has no entry {}: it has {}", index, map->max_entries),
                               "entries are numbered from 0; [scheduler.sizes] can give it more");
    }
    auto entry =
        std::ranges::find_if(entries_, [&](const MapEntry& other) { return other.map == name && other.key == key; });
    if (entry == entries_.end())
        entry = entries_.insert(
            entry,
            MapEntry{.map = name, .key_text = key_text, .key = key, .value = std::vector<std::byte>(map->value_size)});
    const StoredPart part =
        SCXHOST_TRY(store_part(object.btf(), {map->value_type_id, entry->value}, path, setting, machine));
    texts_.emplace_back(fmt::format("maps.{}.{}{}{}", name, key_text, part.path.empty() ? "" : ".", part.path),
                        part.text);
    return {};
}

Result<> ObjectSetup::bind_call(const SchedulerObject& object, const Config::Call& call, std::size_t number,
                                const MachineFacts& machine) {
    const auto refuse = [&](std::string what, std::string hint) {
        return fail(Error{.kind = ErrorKind::kConfig,
                          .what = fmt::format("scheduler.call[{}]: {}", number, what),
                          .hint = std::move(hint),
                          .where = call.program_where});
    };
    const bpf_program* program = object.find_program(call.program.c_str());
    if (program == nullptr || bpf_program__type(program) != BPF_PROG_TYPE_SYSCALL) {
        std::vector<std::string> names;
        for (const OtherPrograms::Program& other : object.other_programs())
            if (other.section.starts_with("syscall"))
                names.push_back(other.name);
        return refuse(program == nullptr
                          ? fmt::format("'{}' has no program {}", object.name(), quote_text(call.program))
                          : fmt::format("{} is of section {}, and only programs of SEC(\"syscall\") are run on request",
                                        quote_text(call.program), bpf_program__section_name(program)),
                      names.empty() ? "it has no such program" : suggest_word(call.program, names, "syscall programs"));
    }
    if (!bpf_program__autoload(program))
        return refuse(fmt::format("{} is not loaded", quote_text(call.program)),
                      fmt::format("write {} = true in [scheduler.bpf_programs]", call.program));
    const Context context = context_of(object.btf(), call.program);
    if (!call.context.empty() && (context.type_id == 0 || context.bytes > kMaxContextBytes))
        return fail_at_key(
            call.context.front(),
            fmt::format("the context of {} is {}, and has no members to set", call.program, context.described),
            "remove it; its source would have to name the struct in the program's argument");

    std::vector<std::optional<std::uint32_t>> cpus = {std::nullopt};
    for (const Setting& setting : call.context) {
        const auto* text = std::get_if<std::string>(&setting.value);
        if (text == nullptr || (*text != kEachCpu && *text != kEachOnlineCpu))
            continue;
        const MachineTopology* topology = SCXHOST_TRY(machine.topology());
        const std::vector<std::uint32_t>& these = *text == kEachCpu ? topology->possible : topology->online;
        cpus.assign(these.begin(), these.end());
    }
    std::vector<std::string> shown;
    for (const std::optional<std::uint32_t> cpu : cpus) {
        Call bound{.program = call.program,
                   .argument = cpu ? fmt::format(" for CPU {}", *cpu) : "",
                   .context = std::vector<std::byte>(std::min<std::size_t>(context.bytes, kMaxContextBytes)),
                   .attached = call.attached};
        shown.clear();
        for (const Setting& setting : call.context) {
            (void)SCXHOST_TRY(
                store_part(object.btf(), {context.type_id, bound.context}, setting.key, setting, machine, cpu));
            shown.push_back(fmt::format("{} = {}", setting.key, format_value(setting.value)));
        }
        calls_.push_back(std::move(bound));
    }
    texts_.emplace_back(fmt::format("call[{}]", number), fmt::format("{}({}){}", call.program, fmt::join(shown, ", "),
                                                                     call.attached ? " when attached" : ""));
    return {};
}

Result<ObjectSetup> ObjectSetup::bind(SchedulerObject& object, const Config::Scheduler& config,
                                      const MachineFacts& machine) {
    ObjectSetup setup;
    SCXHOST_TRY(setup.bind_programs(object, config.bpf_programs));
    for (const Setting& setting : config.variables)
        SCXHOST_TRY(setup.bind_variable(object, setting, machine));
    for (const Setting& setting : config.maps)
        SCXHOST_TRY(setup.bind_map_entry(object, setting, machine));
    for (std::size_t i = 0; i < config.calls.size(); ++i)
        SCXHOST_TRY(setup.bind_call(object, config.calls[i], i, machine));
    return setup;
}

bool ObjectSetup::runs(const std::string& program) const {
    return std::ranges::find(calls_, program, &Call::program) != calls_.end();
}

Result<> ObjectSetup::carry_out(SchedulerObject& object) const {
    for (const VariableWrite& write : variables_) {
        const std::span<std::byte> raw = object.variable_bytes(write.place);
        if (raw.size() != write.bytes.size())
            return fail(ErrorKind::kObject,
                        fmt::format("cannot set the variable {} of '{}': its section {} is not in shared memory",
                                    write.name, object.name(), write.place.section));
        std::ranges::copy(write.bytes, raw.begin());
    }
    for (const MapEntry& entry : entries_)
        if (Result<> set = object.set_map_entry(entry.map, entry.key, entry.value); !set) {
            set.error().what = fmt::format("cannot set entry {} of map {} of '{}': {}", entry.key_text, entry.map,
                                           object.name(), set.error().what);
            return set;
        }
    return run(object, false);
}

Result<> ObjectSetup::after_attach(SchedulerObject& object) const {
    return run(object, true);
}

Result<> ObjectSetup::run(SchedulerObject& object, bool attached) const {
    for (const Call& call : calls_) {
        if (call.attached != attached)
            continue;
        std::vector<std::byte> context = call.context; // the program may write there
        const Result<std::int32_t> returned = object.run_program(call.program, context);
        if (!returned)
            return fail_errno(
                ErrorKind::kObject,
                fmt::format("cannot run program {} of '{}'{}", call.program, object.name(), call.argument),
                returned.error().sys_errno, "the kernel refuses a context that is smaller than what the program reads");
        if (*returned != 0)
            return fail(ErrorKind::kObject,
                        fmt::format("program {} of '{}' returned {}{}{}", call.program, object.name(), *returned,
                                    *returned < 0 ? fmt::format(" ({})", error_number_text(-*returned)) : "",
                                    call.argument),
                        "0 means that it has done what it is for; look at the [[scheduler.call]] with its context, and "
                        "at the program's source");
    }
    return {};
}

} // namespace scxhost
