// SPDX-License-Identifier: GPL-2.0-only
//
// Any file is either a scheduler whose options can be set and whose counters can be read, or an error that says what is
// wrong with it: from its bytes to what `scxhost check` does before it asks the kernel.
#include "host/bpf/kernel_fit.hpp"
#include "host/bpf/object_setup.hpp"
#include "host/bpf/options.hpp"
#include "host/bpf/statistics.hpp"
#include "host/bpf/typed_value.hpp"
#include "host/kernel/kernel_btf.hpp"

#include <bpf/btf.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace scxhost;

// Of options and variables, how many are tried one by one.
constexpr std::size_t kAlone = 64;
// And of those that are set up in the place of a loading program, which binds each of them several times.
constexpr std::size_t kSetUp = 16;

void require(bool condition) {
    if (!condition)
        std::abort();
}

// A kernel that lacks nearly everything.
const KernelBtf& kernel() {
    static const KernelBtf result = [] {
        btf* types = btf__new_empty();
        const int number = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
        btf__add_struct(types, "sched_ext_ops", 4);
        btf__add_field(types, "name", number, 0, 0);
        btf__add_enum64(types, "scx_public_consts", 8, false);
        btf__add_enum64_value(types, "SCX_SLICE_DFL", 20'000'000);
        btf__add_enum64_value(types, "SCX_OPS_ALL_FLAGS", 0xff);
        __u32 size = 0;
        const void* raw = btf__raw_data(types, &size);
        auto made = KernelBtf::from_bytes({static_cast<const std::byte*>(raw), size});
        btf__free(types);
        return std::move(made).value();
    }();
    return result;
}

Setting setting(const std::string& key, SettingValue value) {
    return {.key = key, .value = std::move(value), .where = {"fuzz.toml", 1, 1}, .key_where = {"fuzz.toml", 1, 1}};
}

// A value that the option may accept.
Setting fitting(const OptionDeclaration& option) {
    switch (option.kind) {
    case OptionKind::kBool:
        return setting(option.key, true);
    case OptionKind::kInteger:
    case OptionKind::kPid:
        return setting(option.key, std::int64_t{1});
    case OptionKind::kDuration:
        return setting(option.key, "1s");
    case OptionKind::kSize:
        return setting(option.key, "4K");
    case OptionKind::kEnum:
        return setting(option.key, option.words.front());
    case OptionKind::kIntegers:
        return setting(option.key, std::vector<Setting>{setting(option.key + "[0]", std::int64_t{1})});
    case OptionKind::kString:
    case OptionKind::kCpus:
    case OptionKind::kCgroup:
        break;
    }
    return setting(option.key, "0");
}

void inspect(SchedulerObject& object) {
    require(!object.ops_name().empty() && object.ops_name().size() < 128);
    (void)object.ops_members_set();
    (void)object.other_programs();
    (void)object.kfuncs();
    (void)object.read_exit_record();
    for (const OptionDeclaration& option : object.declarations().options)
        (void)describe_option(option);
}

// Everything that a configuration can do in the place of the object's loading program.
void set_up(SchedulerObject& object) {
    static const MachineFacts machine;
    const std::vector<SchedulerObject::MapFacts> maps = object.maps();
    std::vector<std::string> sized = object.growing_arrays();
    for (std::size_t i = 0; i < std::min(maps.size(), kSetUp); ++i)
        sized.push_back(maps[i].name);
    for (const std::string& name : sized) {
        const Setting size = setting(name, std::int64_t{7});
        if (const auto set = set_sizes(object, std::span(&size, 1), machine))
            require(set->size() == 1);
    }
    const auto try_one = [&](auto Config::Scheduler::* what, auto value) {
        Config::Scheduler scheduler;
        (scheduler.*what).push_back(std::move(value));
        if (const Result<ObjectSetup> setup = ObjectSetup::bind(object, scheduler, machine))
            require(setup->texts().size() == 1);
    };
    const std::vector<VariablePlace>& variables = object.btf().variables();
    for (std::size_t i = 0; i < std::min(variables.size(), kSetUp); ++i) {
        const std::vector<std::string> parts = settable_parts(object.btf(), variables[i].type_id);
        for (std::size_t j = 0; j < std::min<std::size_t>(parts.size(), 8); ++j)
            try_one(&Config::Scheduler::variables,
                    setting(variables[i].name + (parts[j].empty() ? "" : "." + parts[j]), std::int64_t{1}));
        try_one(&Config::Scheduler::variables, setting(variables[i].name + ".0", std::int64_t{1}));
    }
    for (std::size_t i = 0; i < std::min(maps.size(), kSetUp); ++i)
        for (const char* rest : {".0", ".1.machine", ".web", ".0.weight"})
            try_one(&Config::Scheduler::maps, setting(maps[i].name + rest, "cpus"));
    for (const OtherPrograms::Program& program : object.other_programs()) {
        Config::Call call{.program = program.name, .where = {}, .program_where = {}};
        for (const std::string& member : context_members(object, program))
            call.context.push_back(setting(member, "each-cpu"));
        try_one(&Config::Scheduler::calls, std::move(call));
        try_one(&Config::Scheduler::bpf_programs, setting(program.name, true));
    }
}

void bind(SchedulerObject& object) {
    (void)choose_form(object, kernel(), true);
    std::vector<Setting> settings;
    for (const OptionDeclaration& option : object.declarations().options) {
        settings.push_back(fitting(option));
        if (settings.size() <= kAlone) // whatever the others say
            (void)bind_options(object, std::span(&settings.back(), 1), {}, &kernel());
    }
    const std::vector<Setting> ops = {setting("timeout_ms", std::int64_t{1000}),
                                      setting("exit_dump_len", std::int64_t{4096})};
    (void)bind_options(object, {}, ops, nullptr);
    const Result<Binding> binding = bind_options(object, settings, {}, &kernel());
    if (binding)
        require(binding->values.size() == object.declarations().options.size());
    (void)fit_to_kernel(object, kernel());
    object.clear_exit_record();
}

void count(SchedulerObject& object) {
    const std::vector<VariablePlace>& variables = object.btf().variables();
    for (std::size_t i = 0; i < std::min(variables.size(), kAlone); ++i)
        (void)object.add_statistics(variables[i].name);
    const auto copy = [](const bpf_map&, std::span<std::byte>) { return Result<>(); };
    Result<StatisticsReader> reader = StatisticsReader::make(object, copy);
    if (reader)
        require(reader->read().value().size() == object.declarations().statistics.size());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Of its own, so that the sanitizer sees each byte beyond it.
    const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                       reinterpret_cast<const std::byte*>(data) + size);
    Result<SchedulerObject> object = SchedulerObject::open({.name = "fuzz", .bytes = bytes, .struct_ops = {}});
    if (!object) {
        require(object.error().kind == ErrorKind::kObject && !object.error().what.empty());
        return 0;
    }
    inspect(*object);
    set_up(*object);
    bind(*object);
    count(*object);
    return 0;
}
