// SPDX-License-Identifier: GPL-2.0-only
#include "tests/research/slots/slot_object.hpp"

#include "tests/vm/children.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace scxhost::slots {
namespace {

[[noreturn]] void fail(const std::string& what, int error) {
    throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(error < 0 ? -error : error)));
}

// Offset of a variable in its data section, or of a member in its struct, in bytes; -1 when there is none.
std::int64_t variable_offset(const btf* types, const std::string& section, const std::string& variable) {
    const std::int32_t id = ::btf__find_by_name_kind(types, section.c_str(), BTF_KIND_DATASEC);
    if (id < 0)
        return -1;
    const btf_type* type = ::btf__type_by_id(types, static_cast<std::uint32_t>(id));
    const btf_var_secinfo* variables = ::btf_var_secinfos(type);
    for (int i = 0; i < btf_vlen(type); ++i) {
        const btf_type* of = ::btf__type_by_id(types, variables[i].type);
        if (variable == ::btf__name_by_offset(types, of->name_off))
            return variables[i].offset;
    }
    return -1;
}

std::int64_t member_offset(const btf* types, const std::string& structure, const std::string& member) {
    const std::int32_t id = ::btf__find_by_name_kind(types, structure.c_str(), BTF_KIND_STRUCT);
    if (id < 0)
        return -1;
    const btf_type* type = ::btf__type_by_id(types, static_cast<std::uint32_t>(id));
    for (std::uint32_t i = 0; i < btf_vlen(type); ++i)
        if (member == ::btf__name_by_offset(types, ::btf_members(type)[i].name_off))
            return ::btf_member_bit_offset(type, i) / 8;
    return -1;
}

} // namespace

SlotObject::SlotObject(const std::string& name)
    : name_(name)
    , object_(::bpf_object__open_file(("objects/" + name + ".bpf.o").c_str(), nullptr)) {
    if (!object_)
        fail("cannot open objects/" + name + ".bpf.o", errno);
}

SlotObject::~SlotObject() {
    if (link_ != nullptr) {
        ::bpf_link__detach(link_);
        ::bpf_link__destroy(link_);
    }
}

void* SlotObject::section_bytes(const std::string& section_name) const {
    bpf_map* found = nullptr;
    bpf_map* each = nullptr;
    bpf_object__for_each_map(each, get()) {
        // Either the section's own name or, for the usual sections, the object's in front of it.
        if (std::string_view(::bpf_map__name(each)).ends_with(section_name))
            found = each;
    }
    std::size_t size = 0;
    void* bytes = found == nullptr ? nullptr : ::bpf_map__initial_value(found, &size);
    if (bytes == nullptr)
        throw std::runtime_error(fmt::format("{} has no section {} in mapped memory", name_, section_name));
    return bytes;
}

void SlotObject::set(const std::string& variable, std::uint64_t value) {
    const btf* types = ::bpf_object__btf(get());
    const std::int64_t offset = variable_offset(types, ".rodata", variable);
    if (offset < 0)
        throw std::runtime_error(fmt::format("{} has no variable {}", name_, variable));
    const std::int32_t id = ::btf__find_by_name_kind(types, variable.c_str(), BTF_KIND_VAR);
    const auto size = ::btf__resolve_size(types, static_cast<std::uint32_t>(id));
    // Little-endian, as every machine that sched_ext runs on here.
    std::memcpy(static_cast<char*>(section_bytes(".rodata")) + offset, &value, static_cast<std::size_t>(size));
}

bpf_program** SlotObject::ops_member(const std::string& struct_ops, const std::string& member,
                                     const std::string& type) const {
    const std::int64_t offset = member_offset(::bpf_object__btf(get()), type, member);
    if (offset < 0)
        return nullptr;
    return reinterpret_cast<bpf_program**>(static_cast<char*>(section_bytes(struct_ops)) + offset);
}

void SlotObject::load() {
    if (const int error = ::bpf_object__load(get()); error != 0)
        fail("cannot load " + name_, error);
}

int SlotObject::map(const std::string& map_name) const {
    return ::bpf_object__find_map_fd_by_name(get(), map_name.c_str());
}

int SlotObject::program(const std::string& program_name) const {
    const bpf_program* found = ::bpf_object__find_program_by_name(get(), program_name.c_str());
    return found == nullptr ? -1 : ::bpf_program__fd(found);
}

slots_request SlotObject::run(const std::string& program_name, std::uint64_t dsq) const {
    slots_request request = {.dsq = dsq, .answer = 0};
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.ctx_in = &request;
    options.ctx_size_in = sizeof request;
    if (const int error = ::bpf_prog_test_run_opts(program(program_name), &options); error != 0)
        fail(fmt::format("cannot run {} of {}", program_name, name_), error);
    return request;
}

void SlotObject::attach() {
    bpf_map* ops = ::bpf_object__find_map_by_name(get(), (name_ + "_ops").c_str());
    link_ = ::bpf_map__attach_struct_ops(ops);
    if (link_ == nullptr)
        fail("cannot attach " + name_, errno);
    if (!wait_until([this] { return enabled_as(name_); }))
        throw std::runtime_error(name_ + " was attached and is not enabled");
}

void SlotObject::detach() {
    if (link_ == nullptr)
        return;
    ::bpf_link__detach(link_);
    ::bpf_link__destroy(link_);
    link_ = nullptr;
}

Root::Root(bool indirect)
    : SlotObject("slots") {
    set("indirect", indirect);
}

void Root::set_up(const Policy& policy) const {
    // From 7.0 on a program can say which scheduler it means; where it cannot, it means the only one.
    if (::bpf_prog_assoc_struct_ops(policy.program("setup"), map("slots_ops"), nullptr) != 0 && errno != EINVAL)
        fail("cannot associate the set-up of " + policy.name(), errno);
    if (const auto answer = policy.run("setup").answer; answer != 0)
        fail("the set-up of " + policy.name(), static_cast<int>(answer));
}

void Root::attach_with(const Policy& policy) {
    for (std::uint32_t bank = 0; bank < SLOT_BANKS; ++bank)
        empty(bank);
    // A bank is filled while it is not used: with its enqueue and without its dispatch, the task that fills it would be
    // queued where nobody looks.
    use(1);
    attach();
    set_up(policy);
    put(0, policy);
    use(0);
    // Those of the time before.
    state().fallbacks = 0;
}

void Root::put(std::uint32_t bank, const Policy& policy) const {
    for (const char* callback : kCallbacks) {
        const int slots = map(std::string(callback) + "_slots");
        const int fd = policy.program(policy.name() + "_" + callback);
        if (fd < 0)
            (void)::bpf_map_delete_elem(slots, &bank);
        else if (::bpf_map_update_elem(slots, &bank, &fd, BPF_ANY) != 0)
            fail(fmt::format("cannot store {} of {} in its slot", callback, policy.name()), errno);
    }
}

void Root::empty(std::uint32_t bank) const {
    for (const char* callback : kCallbacks)
        (void)::bpf_map_delete_elem(map(std::string(callback) + "_slots"), &bank);
}

void Root::check_runs() const {
    if (state().exit_kind != 0)
        throw std::runtime_error(
            fmt::format("the kernel took the root out: {} ({})", state().exit_message, state().exit_kind));
    if (!enabled_as(name()))
        throw std::runtime_error("the root does not run, and no exit was recorded");
}

bool enabled_as(const std::string& ops_name) {
    return read_text("/sys/kernel/sched_ext/state") == "enabled\n" &&
           read_text("/sys/kernel/sched_ext/root/ops") == ops_name + "\n";
}

bool kernel_has(const std::string& name) {
    // Names stand in it with their terminators.
    const std::string wanted = std::string(1, '\0') + name + '\0';
    return read_text("/sys/kernel/btf/vmlinux").find(wanted) != std::string::npos;
}

void wait_for_callbacks() {
    if (::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
        fail("membarrier", errno);
}

} // namespace scxhost::slots
