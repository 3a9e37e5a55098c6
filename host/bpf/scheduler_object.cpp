// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/scheduler_object.hpp"

#include "host/base/content_hash.hpp"
#include "host/base/elf_image.hpp"
#include "host/base/suggest.hpp"
#include "host/bpf/kconfig_values.hpp"
#include "host/bpf/libbpf_log.hpp"
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

constexpr std::size_t kOpsNameMax = 128; // SCX_OPS_NAME_LEN, terminator included

// The kernel takes letters, digits, '_' and '.' in a struct_ops' name (bpf_obj_name_cpy in 7.3.4).
std::string kernel_name(std::string_view name) {
    std::string result(name);
    std::ranges::replace_if(
        result,
        [](unsigned char c) {
            return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                     c == '.');
        },
        '_');
    return result;
}

struct ObjectCloser {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
};

// Closing the last descriptor of such a link is what detaches, and it waits; most kinds have no other way.
struct LinkCloser {
    void operator()(bpf_link* link) const { bpf_link__destroy(link); }
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
    bpf_map* ops = nullptr;
    std::uint32_t ops_type_id = 0;
    bpf_map* cid_ops = nullptr; // the same scheduler in the cid form, when there is a choice
    bool loaded = false;
    std::vector<std::unique_ptr<bpf_link, LinkCloser>> program_links;
    void* arena_globals = nullptr; // set by libbpf when the object is loaded
    std::optional<Error> config_error;

    // Looked up anew each time: libbpf moves its types when a map is resized.
    [[nodiscard]] const btf_type* ops_type() const { return btf__type_by_id(btf->raw(), ops_type_id); }
    [[nodiscard]] std::optional<BtfMemberPlace> find_member(std::string_view wanted) const {
        return find_btf_member(btf->raw(), ops_type(), wanted);
    }
    [[nodiscard]] std::byte* ops_bytes() const { return static_cast<std::byte*>(bpf_map__initial_value(ops, nullptr)); }
    [[nodiscard]] bpf_map* section_map(std::string_view section) const;
    Result<> choose_struct_ops(const std::string& wanted);
    void take_struct_ops(bpf_map* map);
    [[nodiscard]] std::string_view type_name_of(bpf_map* map) const;
    Result<> set_ops_name();
    [[nodiscard]] std::vector<PerCpuMapType> per_cpu_maps() const;
    // Calls `visit(program)` for each program that is loaded and no callback, until one fails.
    template <typename Visit>
    Result<> for_each_other_program(Visit visit) const {
        bpf_program* program = nullptr;
        bpf_object__for_each_program(program, object.get()) {
            if (bpf_program__type(program) != BPF_PROG_TYPE_STRUCT_OPS && bpf_program__autoload(program))
                SCXHOST_TRY(visit(program));
        }
        return {};
    }
    Result<> associate_programs();
    Result<> attach_programs(bool early);
    // Each map that will be made has the measures that its type needs.
    [[nodiscard]] Result<> check_map_sizes() const;
};

namespace {

// Of a program that is attached to the kernel's function for the registration of a scheduler, through which all of them
// come (kernel/sched/ext: bpf_scx_reg): "fentry/bpf_scx_reg", "kprobe/bpf_scx_reg".
bool sees_registration(const bpf_program* program) {
    return std::string_view(bpf_program__section_name(program)).ends_with("/bpf_scx_reg");
}

// Types whose number of entries is not the object's to say: it is libbpf's, or there is none (local storage).
bool needs_entries(bpf_map_type type) {
    switch (type) {
    case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
    case BPF_MAP_TYPE_STRUCT_OPS:
    case BPF_MAP_TYPE_SK_STORAGE:
    case BPF_MAP_TYPE_INODE_STORAGE:
    case BPF_MAP_TYPE_TASK_STORAGE:
    case BPF_MAP_TYPE_CGRP_STORAGE:
    case BPF_MAP_TYPE_CGROUP_STORAGE:
    case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
        return false;
    default:
        return true;
    }
}

// Types whose entries are values of a size that the object says.
bool needs_value_size(bpf_map_type type) {
    switch (type) {
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
    case BPF_MAP_TYPE_LPM_TRIE:
    case BPF_MAP_TYPE_QUEUE:
    case BPF_MAP_TYPE_STACK:
    case BPF_MAP_TYPE_TASK_STORAGE:
    case BPF_MAP_TYPE_CGRP_STORAGE:
        return true;
    default:
        return false;
    }
}

} // namespace

// The kernel would say EINVAL, as it does for what it does not know.
Result<> SchedulerObject::State::check_map_sizes() const {
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        const bool no_entries = needs_entries(bpf_map__type(map)) && bpf_map__max_entries(map) == 0;
        const bool no_value = needs_value_size(bpf_map__type(map)) && bpf_map__value_size(map) == 0;
        if (bpf_map__autocreate(map) && (no_entries || no_value))
            return fail(ErrorKind::kObject,
                        fmt::format("map '{}' of '{}' has no {}", bpf_map__name(map), name,
                                    no_entries ? "number of entries" : "size of its values"),
                        no_entries ? fmt::format("its own loading program sets it: write {} = NUMBER in "
                                                 "[scheduler.sizes], or set max_entries in the source",
                                                 bpf_map__name(map))
                                   : "its own loading program sets it; set its value's type in the source");
    }
    return {};
}

Result<> SchedulerObject::State::associate_programs() {
    const LibbpfLog log;
    return for_each_other_program([&](bpf_program* program) -> Result<> {
        const int error = bpf_program__assoc_struct_ops(program, ops, nullptr);
        // EINVAL: the kernel has no such command.
        if (error == 0 || error == -EINVAL)
            return {};
        return fail_errno(
            ErrorKind::kAttach,
            fmt::format("cannot associate program '{}' with the scheduler '{}'", bpf_program__name(program), name),
            -error);
    });
}

// The internal map of a data section: libbpf names it after the object, but its BTF value type is the section.
bpf_map* SchedulerObject::State::section_map(std::string_view section) const {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        if (!bpf_map__is_internal(map))
            continue;
        const std::uint32_t type_id = bpf_map__btf_value_type_id(map);
        const btf_type* type = type_id == 0 ? nullptr : btf__type_by_id(btf->raw(), type_id);
        if (type != nullptr && btf_is_datasec(type) && btf->name(type->name_off) == section)
            return map;
    }
    return nullptr;
}

std::string_view SchedulerObject::State::type_name_of(bpf_map* map) const {
    const std::optional<ResolvedType> type = btf->resolve(bpf_map__btf_value_type_id(map));
    return type ? btf->name(type->type->name_off) : std::string_view();
}

// Only the chosen scheduler goes into the kernel.
void SchedulerObject::State::take_struct_ops(bpf_map* chosen) {
    ops = chosen;
    ops_type_id = btf->resolve(bpf_map__btf_value_type_id(chosen))->id;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
            bpf_map__set_autocreate(map, map == ops);
    }
    // A struct_ops without a link could be detached only by deleting its map element, and would outlive the host.
    bpf_map__set_map_flags(ops, bpf_map__map_flags(ops) | BPF_F_LINK);
}

Result<> SchedulerObject::State::choose_struct_ops(const std::string& wanted) {
    std::vector<std::string> found;
    bpf_map* chosen = nullptr;
    bpf_map* map = nullptr;
    std::array<bpf_map*, 2> forms = {}; // by CPU number, by cid
    bpf_object__for_each_map(map, object.get()) {
        if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
            continue;
        const std::string_view type_name = type_name_of(map);
        if (type_name != kOpsType && type_name != kCidOpsType)
            continue;
        forms[type_name == kCidOpsType ? 1 : 0] = map;
        found.emplace_back(bpf_map__name(map));
        if (wanted.empty() || wanted == found.back())
            chosen = map;
    }
    const bool two_forms = wanted.empty() && found.size() == 2 && forms[0] != nullptr && forms[1] != nullptr &&
                           declarations.form_feature() != nullptr;
    if (two_forms) {
        chosen = forms[0];
        cid_ops = forms[1];
    }
    if (found.empty())
        return fail(ErrorKind::kObject, fmt::format("'{}' is no sched_ext scheduler: it has no struct_ops map of type "
                                                    "sched_ext_ops",
                                                    name));
    if (chosen == nullptr)
        return fail(ErrorKind::kObject, fmt::format("'{}' has no struct_ops map '{}'", name, wanted),
                    suggest_word(wanted, found, "struct_ops maps"));
    if (wanted.empty() && found.size() > 1 && !two_forms)
        return fail(
            ErrorKind::kObject,
            fmt::format("'{}' has {} struct_ops maps: {}", name, found.size(), list_words(found, "and")),
            fmt::format("choose one with struct_ops = \"{0}\", or --set scheduler.struct_ops={0}", found.front()));
    take_struct_ops(chosen);
    return {};
}

Result<> SchedulerObject::State::set_ops_name() {
    const std::optional<BtfMemberPlace> member = find_member("name");
    if (!member || member->is_pointer || member->size < 2 || member->size > kOpsNameMax)
        return fail(ErrorKind::kObject, fmt::format("'{}': its sched_ext_ops has no usable name", name));
    char* text = reinterpret_cast<char*>(ops_bytes() + member->offset);
    std::string own(text, ::strnlen(text, member->size));
    if (own.empty())
        own = name;
    const std::string suffix = "_" + build_id;
    if (member->size <= suffix.size() + 1)
        return fail(ErrorKind::kObject, fmt::format("'{}': the name in its sched_ext_ops is too short", name));
    own = kernel_name(own).substr(0, member->size - 1 - suffix.size());
    ops_name = own + suffix;
    std::memset(text, 0, member->size);
    std::memcpy(text, ops_name.data(), ops_name.size());
    return {};
}

std::vector<PerCpuMapType> SchedulerObject::State::per_cpu_maps() const {
    std::vector<PerCpuMapType> result;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY)
            result.push_back({bpf_map__name(map), bpf_map__btf_value_type_id(map), bpf_map__max_entries(map),
                              bpf_map__value_size(map)});
    }
    return result;
}

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
    state->declarations = SCXHOST_TRY(read_declarations(*state->btf, state->per_cpu_maps()));
    SCXHOST_TRY(state->choose_struct_ops(source.struct_ops));
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
std::vector<SchedulerObject::OtherProgram> SchedulerObject::other_programs() const {
    std::vector<OtherProgram> result;
    (void)state_->for_each_other_program([&](const bpf_program* program) -> Result<> {
        result.push_back({bpf_program__name(program), bpf_program__section_name(program)});
        return {};
    });
    return result;
}

Result<> SchedulerObject::add_statistics(std::string_view variable) {
    SCXHOST_TRY(add_variable_statistics(state_->declarations, *state_->btf, state_->per_cpu_maps(), variable));
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
    return bpf_map__name(state_->ops);
}

std::string_view SchedulerObject::ops_type_name() const {
    return state_->type_name_of(state_->ops);
}

Result<> SchedulerObject::take_cid_form() {
    if (state_->cid_ops == nullptr)
        return {};
    state_->take_struct_ops(state_->cid_ops);
    return state_->set_ops_name();
}

std::vector<std::string> SchedulerObject::ops_members_set() const {
    std::vector<std::string> result;
    for (std::uint32_t i = 0; i < btf_vlen(state_->ops_type()); ++i) {
        const std::string_view name = btf_member_at(state_->btf->raw(), state_->ops_type(), i).name;
        const std::optional<BtfMemberPlace> member = state_->find_member(name);
        if (!member)
            continue;
        const std::span bytes(state_->ops_bytes() + member->offset, member->size);
        if (std::ranges::any_of(bytes, [](std::byte b) { return b != std::byte{0}; }))
            result.emplace_back(name);
    }
    return result;
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

bool SchedulerObject::has_ops_member(std::string_view member) const {
    return state_->find_member(member).has_value();
}

Result<> SchedulerObject::set_ops_member(std::string_view name, std::uint64_t value) {
    const std::optional<BtfMemberPlace> member = state_->find_member(name);
    if (!member || member->is_pointer || member->size > sizeof value)
        return fail(ErrorKind::kObject,
                    fmt::format("the sched_ext_ops of '{}' has no number '{}'", state_->name, name));
    if (member->size < sizeof value && value >> (member->size * 8U) != 0)
        return fail(ErrorKind::kConfig,
                    fmt::format("{} does not fit into '{}', which has {} bits", value, name, member->size * 8));
    std::memcpy(state_->ops_bytes() + member->offset, &value, member->size);
    return {};
}

Result<std::uint64_t> SchedulerObject::ops_member(std::string_view name) const {
    const std::optional<BtfMemberPlace> member = state_->find_member(name);
    std::uint64_t value = 0;
    if (!member || member->is_pointer || member->size > sizeof value)
        return fail(ErrorKind::kObject,
                    fmt::format("the sched_ext_ops of '{}' has no number '{}'", state_->name, name));
    std::memcpy(&value, state_->ops_bytes() + member->offset, member->size);
    return value;
}

bool SchedulerObject::is_ops_callback(std::string_view name) const {
    const std::optional<BtfMemberPlace> member = state_->find_member(name);
    return member && member->is_pointer;
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

Result<> SchedulerObject::clear_ops_member(std::string_view name) {
    const std::optional<BtfMemberPlace> member = state_->find_member(name);
    if (!member)
        return fail(ErrorKind::kInternal, fmt::format("no struct_ops member '{}' to clear", name));
    std::memset(state_->ops_bytes() + member->offset, 0, member->size);
    return {};
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
    SCXHOST_TRY(state_->check_map_sizes());
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
    return state_->associate_programs();
}

Result<> SchedulerObject::commit(const KernelBtf& kernel) {
    return commit_struct_ops(state_->ops, state_->btf->raw(), kernel.raw());
}

Result<Attachment> SchedulerObject::attach() {
    const LibbpfLog log;
    bpf_link* link = bpf_map__attach_struct_ops(state_->ops);
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

Result<> SchedulerObject::State::attach_programs(bool early) {
    return for_each_other_program([&](bpf_program* program) -> Result<> {
        if (!bpf_program__autoattach(program) || sees_registration(program) != early)
            return {};
        const LibbpfLog log;
        std::unique_ptr<bpf_link, LinkCloser> link(bpf_program__attach(program));
        const int error = errno;
        if (link != nullptr)
            program_links.push_back(std::move(link));
        else if (error != EOPNOTSUPP || !log.text().empty()) // libbpf is silent when the section names no place
            return fail(
                Error{.kind = ErrorKind::kAttach,
                      .what = fmt::format("cannot attach program '{}' ({}) of '{}': {}", bpf_program__name(program),
                                          bpf_program__section_name(program), name, error_number_text(error)),
                      .sys_errno = error,
                      .detail = log.text()});
        return {};
    });
}

Result<> SchedulerObject::attach_early_programs() {
    const Result<> attached = state_->attach_programs(true);
    if (!attached)
        detach_programs();
    return attached;
}

Result<> SchedulerObject::attach_programs() {
    const Result<> attached = state_->attach_programs(false);
    if (!attached)
        detach_programs();
    return attached;
}

void SchedulerObject::detach_programs() {
    state_->program_links.clear();
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
            .needs_entries = needs_entries(bpf_map__type(map)),
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
        if (!needs_entries(bpf_map__type(map)))
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
    state_->declarations = SCXHOST_TRY(read_declarations(*state_->btf, state_->per_cpu_maps()));
    for (const std::string& variable : state_->shown)
        SCXHOST_TRY(add_variable_statistics(state_->declarations, *state_->btf, state_->per_cpu_maps(), variable));
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
    if (map == nullptr || key.size() != bpf_map__key_size(map) || value.size() != bpf_map__value_size(map))
        return fail(ErrorKind::kInternal, fmt::format("map {} is not as it was", name));
    std::vector<std::byte> values(value.begin(), value.end());
    switch (bpf_map__type(map)) {
    case BPF_MAP_TYPE_PERCPU_ARRAY:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH: {
        const int cpus = libbpf_num_possible_cpus();
        if (cpus < 0)
            return fail_errno(ErrorKind::kObject, "the possible CPUs are not known", -cpus);
        const std::size_t stride = (value.size() + 7) / 8 * 8;
        values.assign(stride * static_cast<std::size_t>(cpus), std::byte{0});
        for (std::size_t cpu = 0; cpu < static_cast<std::size_t>(cpus); ++cpu)
            std::ranges::copy(value, values.begin() + static_cast<std::ptrdiff_t>(cpu * stride));
        break;
    }
    default:
        break;
    }
    if (::bpf_map_update_elem(bpf_map__fd(map), key.data(), values.data(), BPF_ANY) != 0)
        return fail(Error{.kind = ErrorKind::kObject, .what = error_number_text(errno), .sys_errno = errno});
    return {};
}

Result<std::int32_t> SchedulerObject::run_program(const std::string& name, std::span<std::byte> context) {
    const bpf_program* program = find_program(name.c_str());
    const auto refuse = [&](int error) {
        return fail(Error{.kind = ErrorKind::kObject,
                          .what = fmt::format("'{}' has no loaded syscall program {}", state_->name, name),
                          .sys_errno = error});
    };
    if (program == nullptr)
        return refuse(ENOENT);
    if (bpf_program__type(program) != BPF_PROG_TYPE_SYSCALL)
        return refuse(EINVAL);
    if (!state_->loaded)
        return refuse(EAGAIN);
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.ctx_in = context.empty() ? nullptr : context.data(); // the kernel writes it back there
    options.ctx_size_in = static_cast<std::uint32_t>(context.size());
    if (::bpf_prog_test_run_opts(bpf_program__fd(program), &options) != 0)
        return fail(Error{.kind = ErrorKind::kObject, .what = error_number_text(errno), .sys_errno = errno});
    return static_cast<std::int32_t>(options.retval);
}

} // namespace scxhost
