// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/regular_file.hpp"
#include "host/bpf/options.hpp"
#include "host/bpf/scheduler_object.hpp"
#include "host/config/config.hpp"
#include "host/plugins/plugin.hpp"
#include "host/plugins/plugin_file.hpp"
#include <scxhost/testing.hpp>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

namespace scxhost::testing {
namespace {

constexpr std::size_t kMaxFileBytes = 64U << 20U;

template <typename T>
T value_of(Result<T> result) {
    if (!result)
        throw Failure(result.error().where
                          ? fmt::format("{}: {}", to_string(*result.error().where), result.error().what)
                          : result.error().what,
                      result.error().hint);
    if constexpr (!std::is_void_v<T>)
        return *std::move(result);
}

[[noreturn]] void throw_errno(const std::string& what, int error) {
    const std::string text = fmt::format("{}: {}", what, std::strerror(error));
    if (error == EPERM || error == EACCES || error == ENOSYS || error == EOPNOTSUPP)
        throw Unsupported(text, "BPF programs need CAP_BPF, or root, and a kernel that has them");
    throw Failure(text, {});
}

struct ObjectCloser {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};

// The bytes of a variable: what it starts with before load, the live memory after it. Empty when it is not mapped.
std::span<std::byte> variable_bytes(bpf_object* object, const VariablePlace& variable) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        const btf_type* section = btf__type_by_id(bpf_object__btf(object), bpf_map__btf_value_type_id(map));
        if (!bpf_map__is_internal(map) || section == nullptr ||
            variable.section != btf__name_by_offset(bpf_object__btf(object), section->name_off))
            continue;
        std::size_t size = 0;
        auto* base = static_cast<std::byte*>(bpf_map__initial_value(map, &size));
        if (base != nullptr && variable.offset <= size && variable.size <= size - variable.offset)
            return {base + variable.offset, variable.size};
    }
    return {};
}

} // namespace

struct Scheduler::State {
    std::optional<PluginFile> file; // of a plugin, as opposed to an object
    std::vector<std::byte> image;   // the BPF object's bytes
    std::shared_ptr<SchedulerObject> object;
    Binding binding;
    std::unique_ptr<Plugin> plugin;
    // The same object once more, with only the programs that a test may run.
    std::unique_ptr<bpf_object, ObjectCloser> loaded;

    ~State() {
        if (plugin)
            plugin->release_object();
    }
};

Scheduler::Scheduler(const std::string& file, const std::vector<std::string>& settings)
    : state_(std::make_unique<State>()) {
    SchedulerObject::Source source;
    if (file.ends_with(".so")) {
        state_->file = value_of(read_plugin_file(file));
        state_->image = state_->file->object;
        source.name = state_->file->info.name;
        source.struct_ops = state_->file->info.struct_ops;
    } else {
        state_->image = value_of(read_binary_file(file, kMaxFileBytes, "BPF object"));
        source.name = std::filesystem::path(file).filename().string();
        source.name.resize(std::min(source.name.find('.'), source.name.size()));
    }
    source.bytes = state_->image;
    state_->object = std::make_shared<SchedulerObject>(value_of(SchedulerObject::open(source)));
    Config config;
    for (const std::string& setting : settings)
        value_of(apply_override(config, setting));
    state_->binding = value_of(bind_options(*state_->object, config.scheduler.options, config.scheduler.ops, nullptr));
}

Scheduler::Scheduler(Scheduler&&) noexcept = default;
Scheduler& Scheduler::operator=(Scheduler&&) noexcept = default;
Scheduler::~Scheduler() = default;

std::string Scheduler::name() const {
    return state_->object->name();
}

std::vector<Option> Scheduler::options() const {
    std::vector<Option> result;
    for (const OptionValue& value : state_->binding.values)
        result.push_back({value.key, value.text, value.set});
    return result;
}

std::string Scheduler::option(std::string_view key) const {
    for (const OptionValue& value : state_->binding.values)
        if (value.key == key)
            return value.text;
    throw Failure(fmt::format("{} has no option {}", name(), key), {});
}

std::vector<std::string> Scheduler::statistics() const {
    std::vector<std::string> result;
    for (const StatisticDeclaration& statistic : state_->object->declarations().statistics)
        result.push_back(statistic.name);
    if (state_->plugin)
        for (const StatisticDeclaration& statistic : state_->plugin->statistics())
            result.push_back(statistic.name);
    return result;
}

void Scheduler::configure() {
    if (!state_->file)
        return;
    if (!state_->plugin)
        state_->plugin = value_of(
            Plugin::load(*state_->file, state_->object, [](int, std::string_view plugin, std::string_view text) {
                fmt::print(stderr, "{}: {}\n", plugin, text);
            }));
    value_of(state_->plugin->call(PluginCallback::kConfigure));
}

void Scheduler::load() {
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "scxhost_testing");
    std::unique_ptr<bpf_object, ObjectCloser> object(
        bpf_object__open_mem(state_->image.data(), state_->image.size(), &options));
    if (!object)
        throw_errno("the object cannot be opened", errno);
    bool any = false;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.get()) {
        const bool wanted = bpf_program__type(program) == BPF_PROG_TYPE_SYSCALL;
        bpf_program__set_autoload(program, wanted);
        any = any || wanted;
    }
    if (!any)
        throw Failure(fmt::format("{} has no program that a test can run", name()),
                      "write one in a section SEC(\"syscall\"), in an object for tests that includes the policy");
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        // A kernel without sched_ext has no type for it.
        if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
            bpf_map__set_autocreate(map, false);
    }
    // Options, and what the user-space half has set.
    for (const VariablePlace& variable : state_->object->btf().variables()) {
        const std::span<const std::byte> bound = state_->object->variable_bytes(variable);
        const std::span<std::byte> bytes = variable_bytes(object.get(), variable);
        std::copy_n(bound.begin(), std::min(bound.size(), bytes.size()), bytes.begin());
    }
    if (const int error = bpf_object__load(object.get()); error != 0)
        throw_errno("the programs cannot be loaded", -error);
    state_->loaded = std::move(object);
}

std::uint32_t Scheduler::run(const std::string& program, std::span<std::byte> context) {
    if (!state_->loaded)
        throw Failure("nothing is loaded", "call load() first");
    const bpf_program* found = bpf_object__find_program_by_name(state_->loaded.get(), program.c_str());
    if (found == nullptr || bpf_program__fd(found) < 0)
        throw Failure(fmt::format("there is no program {} in a section SEC(\"syscall\")", program), {});
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = context.empty() ? nullptr : context.data(),
                .ctx_size_in = static_cast<std::uint32_t>(context.size()));
    if (const int error = bpf_prog_test_run_opts(bpf_program__fd(found), &options); error != 0)
        throw_errno(fmt::format("program {} cannot be run", program), -error);
    return options.retval;
}

std::span<std::byte> Scheduler::bytes(std::string_view variable) const {
    const VariablePlace* place = state_->object->btf().find_variable(variable);
    if (place == nullptr)
        throw Failure(fmt::format("{} has no global variable {}", name(), variable), {});
    const std::span<std::byte> bytes =
        state_->loaded ? variable_bytes(state_->loaded.get(), *place) : state_->object->variable_bytes(*place);
    if (!bytes.empty())
        return bytes;
    throw Failure(fmt::format("variable {} is in no mapped section", variable),
                  "libbpf maps a section only when one of its variables is not static");
}

} // namespace scxhost::testing
