// SPDX-License-Identifier: GPL-2.0-only
#include "tests/research/slots/questions.hpp"
#include "tests/research/slots/slot_object.hpp"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost::slots {
namespace {

struct Member {
    std::string name;
    bool sleepable = false;

    [[nodiscard]] std::string program() const { return (sleepable ? "sleepable_" : "plain_") + name; }
    [[nodiscard]] std::string struct_ops() const { return sleepable ? "sleepable_ops" : "plain_ops"; }
};

std::vector<std::string> members_of(const btf* types) {
    std::vector<std::string> names;
    const std::int32_t id = ::btf__find_by_name_kind(types, "sched_ext_ops", BTF_KIND_STRUCT);
    if (id < 0)
        return names;
    const btf_type* type = ::btf__type_by_id(types, static_cast<std::uint32_t>(id));
    for (int i = 0; i < btf_vlen(type); ++i)
        names.emplace_back(::btf__name_by_offset(types, btf_members(type)[i].name_off));
    return names;
}

// Leaves of the object what the members need, so that the verifier is asked about nothing else.
void keep_only(const SlotObject& object, const std::vector<Member>& members) {
    for (const char* struct_ops : {"plain_ops", "sleepable_ops"}) {
        bool needed = false;
        for (const std::string& name : members_of(::bpf_object__btf(object.get()))) {
            bool kept = false;
            for (const Member& member : members)
                kept |= member.struct_ops() == struct_ops && member.name == name;
            bpf_program** program = object.ops_member(struct_ops, name);
            const std::string prefix = std::string_view(struct_ops).starts_with("plain") ? "plain_" : "sleepable_";
            if (::bpf_object__find_program_by_name(object.get(), (prefix + name).c_str()) == nullptr)
                continue;
            if (!kept)
                *program = nullptr;
            needed |= kept;
        }
        ::bpf_map__set_autocreate(::bpf_object__find_map_by_name(object.get(), struct_ops), needed);
    }
}

// The verifier's last word, without the counts that follow it.
std::string last_line(const char* log) {
    std::string last;
    for (std::string_view rest = log; !rest.empty();) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (!line.empty() && !line.starts_with("processed "))
            last = line;
    }
    return last;
}

std::string store(const SlotObject& object, const std::string& array, const std::string& program) {
    const std::uint32_t slot = 0;
    const int fd = object.program(program);
    if (fd < 0)
        return "not loaded";
    if (::bpf_map_update_elem(object.map(array + "_slots"), &slot, &fd, BPF_ANY) != 0)
        return std::strerror(errno);
    return "taken";
}

// "yes", or why not.
std::string ask(const Member& member) {
    SlotObject object("members");
    keep_only(object, {member});
    std::vector<char> log(1 << 20);
    bpf_program* program = ::bpf_object__find_program_by_name(object.get(), member.program().c_str());
    if (program == nullptr)
        return "-";
    ::bpf_program__set_log_buf(program, log.data(), log.size());
    ::bpf_program__set_log_level(program, 1);
    if (const int error = ::bpf_object__load(object.get()); error != 0) {
        const std::string line = last_line(log.data());
        return "no: " + (line.empty() ? std::strerror(-error) : line);
    }
    const std::string stored = store(object, member.program(), member.program());
    return stored == "taken" ? "yes" : "loads, but its slot says: " + stored;
}

struct Pair {
    Member array;
    Member program;
};

std::string ask(const Pair& pair) {
    SlotObject object("members");
    keep_only(object, {pair.array, pair.program});
    if (const int error = ::bpf_object__load(object.get()); error != 0)
        return fmt::format("not loaded: {}", std::strerror(-error));
    return store(object, pair.array.program(), pair.program.program());
}

} // namespace

void ask_members() {
    const std::unique_ptr<btf, void (*)(btf*)> kernel(::btf__load_vmlinux_btf(), ::btf__free);
    const std::vector<std::string> known = members_of(kernel.get());
    fmt::print("{:22} {:40} {}\n", "callback", "ends in a tail call", "the same as a program that may sleep");
    const SlotObject all("members");
    for (const std::string& name : members_of(::bpf_object__btf(all.get()))) {
        const Member plain = {.name = name};
        if (::bpf_object__find_program_by_name(all.get(), plain.program().c_str()) == nullptr)
            continue;
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            fmt::print("{:22} {:40} -\n", name, "the kernel has no such callback");
            continue;
        }
        fmt::print("{:22} {:40} {}\n", name, ask(plain), ask({.name = name, .sleepable = true}));
    }
    fmt::print("\nWhat a callback's program array takes, once its own program is loaded:\n");
    const Pair pairs[] = {
        {{.name = "enqueue"}, {.name = "dispatch"}},
        {{.name = "enqueue"}, {.name = "runnable"}},
        {{.name = "running"}, {.name = "tick"}},
        {{.name = "init"}, {.name = "select_cpu"}},
    };
    for (const Pair& pair : pairs)
        fmt::print("  the array of {:10} a program for {:10} {}\n", pair.array.name, pair.program.name, ask(pair));
}

} // namespace scxhost::slots
