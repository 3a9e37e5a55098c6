// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/scheduler_object.hpp"

#include "host/base/content_hash.hpp"
#include "host/base/elf_image.hpp"
#include "host/base/suggest.hpp"
#include "host/bpf/kconfig_values.hpp"
#include "host/bpf/libbpf_log.hpp"
#include "host/bpf/object_maps.hpp"
#include "host/bpf/options.hpp"
#include "host/bpf/struct_ops_value.hpp"
#include "host/bpf/variable_statistics.hpp"
#include "host/bpf/verifier_log.hpp"
#include "host/kernel/btf_types.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/kernel_config.hpp"
#include "host/kernel/kernel_release.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace scxhost {
namespace {

struct ObjectCloser {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};

// Undefined symbols of an object and whether they are weak. Kfunc calls are undefined symbols.
std::vector<SchedulerObject::KfuncUse> undefined_symbols(const ElfImage& image) {
    std::vector<SchedulerObject::KfuncUse> result;
    for (const ElfImage::Symbol& symbol : image.symbols(SHT_SYMTAB))
        if (symbol.section == SHN_UNDEF)
            result.push_back({std::string(symbol.name), symbol.binding == STB_WEAK});
    return result;
}

// libbpf looks kfuncs up without a "___flavour" at the end of their names: the last one only, so that a kfunc whose own
// name has the separator ("scx_bpf_dsq_insert___v2") can be meant by adding a flavour to it.
std::string essential_name(const std::string& name) {
    return name.substr(0, name.rfind("___"));
}

Error open_error(const std::string& name, int sys_errno, const LibbpfLog& log) {
    std::string said = log.last_line();
    Error error{.kind = ErrorKind::kObject,
                .what = fmt::format("'{}' is not a BPF object that can be opened: {}", name,
                                    said.empty() ? error_number_text(sys_errno) : said),
                .sys_errno = sys_errno,
                .detail = log.text()};
    if (sys_errno == ENOTSUP)
        error.hint =
            fmt::format("it may have been built for another libbpf than this host's {}", libbpf_version_string());
    else if (error.detail.find("BTF") != std::string::npos)
        error.hint = fmt::format("it may be damaged, or made by a compiler newer than this host's libbpf {}",
                                 libbpf_version_string());
    return error;
}

} // namespace

struct SchedulerObject::State {
    std::string name;
    std::string build_id;
    std::string ops_name;
    std::unique_ptr<bpf_object, ObjectCloser> object;
    std::optional<BtfView> btf;
    Declarations declarations;
    std::vector<std::string> shown; // variables that statistics were asked of
    std::optional<std::vector<std::pair<std::string, std::uint64_t>>> known_flags;
    std::vector<KfuncUse> kfuncs;
    std::optional<StructOpsMap> struct_ops;      // there once the object is open
    std::optional<OtherPrograms> other_programs; // likewise
    bool loaded = false;
    void* arena_globals = nullptr; // set by libbpf when the object is loaded
    std::optional<Error> config_error;

    [[nodiscard]] bpf_map* section_map(std::string_view section) const {
        return find_section_map(object.get(), section);
    }
    Result<> set_ops_name() {
        ops_name = SCXHOST_TRY(struct_ops->set_scheduler_name(name, "_" + build_id));
        return {};
    }
};

SchedulerObject::SchedulerObject(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
SchedulerObject::SchedulerObject(SchedulerObject&&) noexcept = default;
SchedulerObject& SchedulerObject::operator=(SchedulerObject&&) noexcept = default;
SchedulerObject::~SchedulerObject() = default;

Result<SchedulerObject> SchedulerObject::open(const Source& source) {
    auto state = std::make_unique<State>();
    state->name = source.name;
    state->build_id = fmt::format("{:016x}", ContentHash::of(source.bytes));

    Result<ElfImage> image = ElfImage::parse({source.bytes.begin(), source.bytes.end()});
    if (!image) {
        image.error().what = fmt::format("'{}' is not a BPF object: {}", source.name, image.error().what);
        return fail(std::move(image).error());
    }
    if (image->machine() != EM_BPF || image->type() != ET_REL)
        return fail(ErrorKind::kObject,
                    fmt::format("'{}' is not a BPF object: it is an ELF file for another machine", source.name),
                    "compile it with clang -target bpf");
    if (image->find(BTF_ELF_SEC) == nullptr)
        return fail(ErrorKind::kObject, fmt::format("'{}' has no BTF type information", source.name),
                    "compile it with -g");

    const LibbpfLog log;
    const std::string object_name = kernel_name(source.name).substr(0, BPF_OBJ_NAME_LEN - 1);
    bpf_object_open_opts options{};
    options.sz = sizeof options;
    options.object_name = object_name.c_str();
    KconfigValues config = read_kconfig_values(*image, source.name,
                                               source.kernel_configs.empty() ? kernel_config_places(kernel_release())
                                                                             : source.kernel_configs);
    if (!config.text.empty())
        options.kconfig = config.text.c_str();
    state->config_error = std::move(config.error);
    state->object.reset(bpf_object__open_mem(source.bytes.data(), source.bytes.size(), &options));
    if (state->object == nullptr)
        return fail(open_error(source.name, errno, log));

    // libbpf does without type information that it cannot read as long as nothing in the object needs it.
    if (bpf_object__btf(state->object.get()) == nullptr)
        return fail(open_error(source.name, EINVAL, log));
    state->btf.emplace(bpf_object__btf(state->object.get()));
    // Undefined symbols that are functions: libbpf has rewritten the .ksyms section by now, the symbols are as
    // compiled. A kfunc may be declared in several flavours (one a kernel's prototype); one strong reference makes it
    // needed.
    for (const KfuncUse& symbol : undefined_symbols(*image)) {
        if (!state->btf->has_function(symbol.name))
            continue;
        const std::string kfunc = essential_name(symbol.name);
        const auto known = std::ranges::find(state->kfuncs, kfunc, &KfuncUse::name);
        if (known == state->kfuncs.end())
            state->kfuncs.push_back({kfunc, symbol.weak});
        else
            known->weak = known->weak && symbol.weak;
    }
    state->declarations = SCXHOST_TRY(read_declarations(*state->btf, per_cpu_maps(state->object.get())));
    state->struct_ops = SCXHOST_TRY(StructOpsMap::choose(state->object.get(), source.name, source.struct_ops));
    state->other_programs.emplace(state->object.get(), source.name);
    SCXHOST_TRY(state->set_ops_name());
    SchedulerObject object(std::move(state));
    for (const OptionDeclaration& option : object.declarations().options)
        SCXHOST_TRY(check_default(option, std::as_const(object).variable_bytes(option.variable)));
    return object;
}

const std::string& SchedulerObject::name() const {
    return state_->name;
}
const Declarations& SchedulerObject::declarations() const {
    return state_->declarations;
}
const BtfView& SchedulerObject::btf() const {
    return *state_->btf;
}
const std::string& SchedulerObject::build_id() const {
    return state_->build_id;
}
const std::string& SchedulerObject::ops_name() const {
    return state_->ops_name;
}
const std::vector<SchedulerObject::KfuncUse>& SchedulerObject::kfuncs() const {
    return state_->kfuncs;
}
std::vector<OtherPrograms::Program> SchedulerObject::other_programs() const {
    return state_->other_programs->list();
}

Result<> SchedulerObject::add_statistics(std::string_view variable) {
    SCXHOST_TRY(
        add_variable_statistics(state_->declarations, *state_->btf, per_cpu_maps(state_->object.get()), variable));
    state_->shown.emplace_back(variable);
    return {};
}

bool SchedulerObject::loaded() const {
    return state_->loaded;
}
const std::byte* SchedulerObject::arena_globals() const {
    return static_cast<std::byte*>(state_->arena_globals);
}

std::string SchedulerObject::struct_ops_name() const {
    return state_->struct_ops->name();
}
std::string_view SchedulerObject::ops_type_name() const {
    return state_->struct_ops->type_name();
}
Result<> SchedulerObject::take_cid_form() {
    return state_->struct_ops->take_cid_form() ? state_->set_ops_name() : Result<>();
}
std::vector<std::string> SchedulerObject::ops_members_set() const {
    return state_->struct_ops->members_set();
}
bool SchedulerObject::has_ops_member(std::string_view member) const {
    return state_->struct_ops->find(member).has_value();
}
Result<> SchedulerObject::set_ops_member(std::string_view member, std::uint64_t value) {
    return state_->struct_ops->set_number(member, value);
}
Result<std::uint64_t> SchedulerObject::ops_member(std::string_view member) const {
    return state_->struct_ops->number(member);
}
Result<> SchedulerObject::clear_ops_member(std::string_view member) {
    return state_->struct_ops->clear(member);
}
bool SchedulerObject::is_ops_callback(std::string_view member) const {
    const std::optional<BtfMemberPlace> place = state_->struct_ops->find(member);
    return place && place->is_pointer;
}

std::span<std::byte> SchedulerObject::variable_bytes(const VariablePlace& variable) {
    if (variable.section == kArenaSection) {
        const std::size_t bytes = section_size(kArenaSection);
        if (state_->arena_globals == nullptr || variable.offset > bytes || variable.size > bytes - variable.offset)
            return {};
        return {static_cast<std::byte*>(state_->arena_globals) + variable.offset, variable.size};
    }
    bpf_map* map = state_->section_map(variable.section);
    if (map == nullptr)
        return {};
    std::size_t size = 0;
    auto* base = static_cast<std::byte*>(bpf_map__initial_value(map, &size));
    if (base == nullptr || variable.offset > size || variable.size > size - variable.offset)
        return {};
    return {base + variable.offset, variable.size};
}

std::span<const std::byte> SchedulerObject::variable_bytes(const VariablePlace& variable) const {
    // Reading changes nothing; the other overload hands out the same memory.
    return const_cast<SchedulerObject*>(this)->variable_bytes(variable);
}

void SchedulerObject::set_known_flags(std::vector<std::pair<std::string, std::uint64_t>> flags) {
    state_->known_flags = std::move(flags);
}

Result<bool> SchedulerObject::add_flag(std::string_view name) {
    if (!state_->known_flags)
        return true;
    const auto known = std::ranges::find(*state_->known_flags, name, &std::pair<std::string, std::uint64_t>::first);
    if (known == state_->known_flags->end())
        return false;
    const std::uint64_t flags = SCXHOST_TRY(ops_member("flags"));
    SCXHOST_TRY(set_ops_member("flags", flags | known->second));
    return true;
}

Result<> SchedulerObject::set_exit_dump_length(std::uint32_t bytes) {
    const std::optional<ExitRecordPlace>& record = state_->declarations.exit_record;
    if (bytes == 0 || !record || !record->dump || !record->dump_length)
        return {};
    bpf_map* map = state_->section_map(record->dump->section);
    if (map == nullptr)
        return {};
    if (const int error = bpf_map__set_value_size(map, bytes); error != 0)
        return fail_errno(ErrorKind::kConfig, fmt::format("cannot make room for an exit dump of {} bytes", bytes),
                          -error, "choose a smaller exit dump length");
    const std::span<std::byte> length = variable_bytes(*record->dump_length);
    if (length.size() == sizeof bytes)
        std::memcpy(length.data(), &bytes, sizeof bytes);
    return {};
}

Result<> SchedulerObject::check_kernel_config() const {
    return state_->config_error ? fail(*state_->config_error) : Result<>();
}

Result<> SchedulerObject::load() {
    SCXHOST_TRY(check_kernel_config());
    SCXHOST_TRY(check_map_sizes(state_->object.get(), state_->name));
    const LibbpfLog log;
    // The skeleton form of load is libbpf's public way to learn where an arena's globals are: at its start or, on
    // kernels that can, at its end.
    bpf_map* arena = nullptr;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, state_->object.get()) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_ARENA)
            arena = map;
    }
    bpf_object* object = state_->object.get();
    bpf_map_skeleton arena_slot{};
    arena_slot.name = "arena";
    arena_slot.map = &arena;
    arena_slot.mmaped = &state_->arena_globals;
    bpf_object_skeleton skeleton{};
    skeleton.sz = sizeof skeleton;
    skeleton.name = state_->name.c_str();
    skeleton.obj = &object;
    skeleton.map_cnt = arena == nullptr ? 0 : 1;
    skeleton.map_skel_sz = sizeof arena_slot;
    skeleton.maps = arena == nullptr ? nullptr : &arena_slot;
    if (const int error = bpf_object__load_skeleton(&skeleton); error != 0)
        return fail(load_error(state_->name, -error, log.text(), arena != nullptr));
    state_->loaded = true;
    return state_->other_programs->associate(state_->struct_ops->map());
}

Result<> SchedulerObject::commit(const KernelBtf& kernel) {
    return commit_struct_ops(state_->struct_ops->map(), state_->btf->raw(), kernel.raw());
}

Result<Attachment> SchedulerObject::attach() {
    const LibbpfLog log;
    bpf_link* link = bpf_map__attach_struct_ops(state_->struct_ops->map());
    if (link != nullptr)
        return Attachment(link);
    const int error = errno;
    if (error == EBUSY)
        return fail_errno(ErrorKind::kBusy, fmt::format("cannot attach '{}'", state_->name), error);
    if (error == EPERM || error == EACCES)
        return fail_errno(ErrorKind::kPermission, fmt::format("cannot attach '{}'", state_->name), error,
                          "run as root, or with CAP_BPF and CAP_PERFMON");
    return fail_errno(ErrorKind::kAttach, fmt::format("cannot attach '{}'", state_->name), error,
                      "the kernel's log (dmesg) may say more");
}

Result<> SchedulerObject::attach_early_programs() {
    return state_->other_programs->attach(/*watching_registration=*/true);
}
Result<> SchedulerObject::attach_programs() {
    return state_->other_programs->attach(/*watching_registration=*/false);
}
void SchedulerObject::detach_programs() {
    state_->other_programs->detach();
}

std::optional<ExitReport> SchedulerObject::read_exit_record() const {
    const std::optional<ExitRecordPlace>& place = state_->declarations.exit_record;
    if (!place)
        return std::nullopt;
    const auto section = [&](const std::string& name) -> std::span<const std::byte> {
        bpf_map* map = state_->section_map(name);
        std::size_t size = 0;
        const auto* base = map == nullptr ? nullptr : static_cast<const std::byte*>(bpf_map__initial_value(map, &size));
        return base == nullptr ? std::span<const std::byte>() : std::span(base, size);
    };
    return read_exit_report(*place, section(place->variable.section),
                            place->dump ? section(place->dump->section) : std::span<const std::byte>());
}

std::uint32_t SchedulerObject::exit_kind() const {
    const std::optional<ExitRecordPlace>& place = state_->declarations.exit_record;
    std::uint32_t kind = 0;
    const std::span<const std::byte> record = place ? variable_bytes(place->variable) : std::span<const std::byte>();
    const std::size_t offset = place ? place->kind_offset - place->variable.offset : 0;
    if (offset + sizeof kind <= record.size())
        std::memcpy(&kind, record.data() + offset, sizeof kind);
    return kind;
}

void SchedulerObject::clear_exit_record() {
    if (state_->declarations.exit_record)
        std::ranges::fill(variable_bytes(state_->declarations.exit_record->variable), std::byte{0});
}

bpf_map* SchedulerObject::find_map(std::string_view name) const {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, state_->object.get()) {
        if (name == bpf_map__name(map))
            return map;
    }
    return nullptr;
}

const bpf_program* SchedulerObject::find_program(const char* name) const {
    return bpf_object__find_program_by_name(state_->object.get(), name);
}

std::size_t SchedulerObject::section_size(std::string_view section) const {
    const std::int32_t id = btf__find_by_name_kind(state_->btf->raw(), std::string(section).c_str(), BTF_KIND_DATASEC);
    const btf_type* type = id <= 0 ? nullptr : btf__type_by_id(state_->btf->raw(), static_cast<std::uint32_t>(id));
    return type == nullptr ? 0 : type->size;
}

namespace {

SchedulerObject::MapFacts map_facts(const bpf_map* map) {
    return {.name = bpf_map__name(map),
            .type = bpf_map__type(map),
            .key_size = bpf_map__key_size(map),
            .value_size = bpf_map__value_size(map),
            .max_entries = bpf_map__max_entries(map),
            .needs_entries = needs_entries(map),
            .key_type_id = bpf_map__btf_key_type_id(map),
            .value_type_id = bpf_map__btf_value_type_id(map)};
}

bool is_declared_map(const bpf_map* map) {
    return !bpf_map__is_internal(map) && bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS;
}

// The last variable of a section; nullptr: it has none.
const VariablePlace* last_of_section(const BtfView& btf, std::string_view section) {
    const VariablePlace* last = nullptr;
    for (const VariablePlace& variable : btf.variables())
        if (variable.section == section && (last == nullptr || variable.offset >= last->offset))
            last = &variable;
    return last;
}

} // namespace

std::vector<SchedulerObject::MapFacts> SchedulerObject::maps() const {
    std::vector<MapFacts> result;
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, state_->object.get()) {
        if (is_declared_map(map))
            result.push_back(map_facts(map));
    }
    return result;
}

std::optional<SchedulerObject::MapFacts> SchedulerObject::find_map_facts(std::string_view name) const {
    const bpf_map* map = find_map(name);
    return map != nullptr && is_declared_map(map) ? std::optional(map_facts(map)) : std::nullopt;
}

Result<> SchedulerObject::resize(std::string_view name, std::uint32_t entries) {
    const LibbpfLog log;
    const auto refuse = [&](std::string what, std::string hint = {}, int error = EINVAL) {
        return fail(
            Error{.kind = ErrorKind::kConfig, .what = std::move(what), .hint = std::move(hint), .sys_errno = error});
    };
    if (bpf_map* map = find_map(name); map != nullptr && is_declared_map(map)) {
        if (!needs_entries(map))
            return refuse("a map of this type has no number of entries");
        if (const int error = bpf_map__set_max_entries(map, entries); error != 0)
            return refuse(fmt::format("this map cannot have {} entries: {}", entries, error_number_text(-error)));
    } else {
        const VariablePlace* variable = state_->btf->find_variable(name);
        bpf_map* section = variable == nullptr ? nullptr : state_->section_map(variable->section);
        if (section == nullptr) {
            std::vector<std::string> names = growing_arrays();
            for (const MapFacts& facts : maps())
                names.push_back(facts.name);
            return refuse(fmt::format("'{}' has no such map, nor an array that could grow", state_->name),
                          suggest_word(name, names, "names"), ENOENT);
        }
        const std::optional<ResolvedType> type = state_->btf->resolve(variable->type_id);
        if (!type || !btf_is_array(type->type))
            return refuse("this variable is no array");
        if (last_of_section(*state_->btf, variable->section) != variable)
            return refuse(fmt::format("this array is not the last variable in its section, {}, and cannot grow there",
                                      variable->section),
                          "in the source, give it a section of its own: SEC(\".data.NAME\") or SEC(\".rodata.NAME\")");
        const std::uint32_t element = state_->btf->size_of(btf_array(type->type)->type).value_or(0);
        const std::uint64_t bytes = variable->offset + std::uint64_t{element} * entries;
        if (element == 0 || bytes > INT32_MAX)
            return refuse(fmt::format("{} elements are more than a data section can hold", entries));
        if (const int error = bpf_map__set_value_size(section, static_cast<std::uint32_t>(bytes)); error != 0)
            return refuse(fmt::format("this array cannot have {} elements: {}", entries, error_number_text(-error)));
    }
    // libbpf has changed the types, and statistics of maps by CPU go by their entries.
    state_->btf.emplace(bpf_object__btf(state_->object.get()));
    state_->declarations = SCXHOST_TRY(read_declarations(*state_->btf, per_cpu_maps(state_->object.get())));
    for (const std::string& variable : state_->shown)
        SCXHOST_TRY(
            add_variable_statistics(state_->declarations, *state_->btf, per_cpu_maps(state_->object.get()), variable));
    return {};
}

std::vector<std::string> SchedulerObject::unsized_maps() const {
    std::vector<std::string> result;
    for (const MapFacts& map : maps())
        if (map.needs_entries && map.max_entries == 0)
            result.push_back(map.name);
    return result;
}

std::vector<std::string> SchedulerObject::growing_arrays() const {
    std::vector<std::string> result;
    for (const VariablePlace& variable : state_->btf->variables()) {
        const std::optional<ResolvedType> type = state_->btf->resolve(variable.type_id);
        const bool of_its_own = variable.section.starts_with(".data.") || variable.section.starts_with(".rodata.");
        const std::optional<ExitRecordPlace>& record = state_->declarations.exit_record;
        const bool is_dump = record && record->dump && record->dump->var_id == variable.var_id;
        if (of_its_own && !is_dump && type && btf_is_array(type->type) && btf_array(type->type)->nelems == 1 &&
            variable.offset == 0 && last_of_section(*state_->btf, variable.section) == &variable)
            result.push_back(variable.name);
    }
    return result;
}

void SchedulerObject::set_program_loaded(const std::string& name, bool loaded) {
    if (bpf_program* program = bpf_object__find_program_by_name(state_->object.get(), name.c_str()))
        (void)bpf_program__set_autoload(program, loaded); // fails once loaded only
}

bool SchedulerObject::is_settable(const VariablePlace& variable) const {
    const std::optional<ExitRecordPlace>& record = state_->declarations.exit_record;
    if (record &&
        (record->variable.var_id == variable.var_id || (record->dump && record->dump->var_id == variable.var_id)))
        return false;
    return variable.section == kArenaSection ||
           ((variable.section.starts_with(".data") || variable.section.starts_with(".bss")) &&
            !variable_bytes(variable).empty());
}

Result<> SchedulerObject::set_map_entry(const std::string& name, std::span<const std::byte> key,
                                        std::span<const std::byte> value) {
    const bpf_map* map = find_map(name);
    return map == nullptr ? fail(ErrorKind::kInternal, fmt::format("map {} is not there any more", name))
                          : update_map_entry(map, key, value);
}

Result<std::int32_t> SchedulerObject::run_program(const std::string& name, std::span<std::byte> context) {
    return state_->other_programs->run(name, context, state_->loaded);
}

} // namespace scxhost
