// SPDX-License-Identifier: GPL-2.0-only
//
// The running kernel's type information (BTF): which constants, kfuncs and structure members it has. sched_ext has no
// stable ABI, so every question about the kernel is asked here and never answered from its version number.
// KernelBtf owns the libbpf object. The first question that needs it builds an index of names; for that reason one
// KernelBtf belongs to one thread.
#pragma once

#include "host/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct btf;

namespace scxhost {

// A kfunc that no BPF object can call on this kernel, because its type in the BTF is broken.
struct MalformedKfunc {
    std::string name;
    std::string why; // a half-sentence that continues "<name> is malformed: "
};

class KernelBtf {
public:
    // Where the kernel shows its own BTF.
    static constexpr const char* kPath = "/sys/kernel/btf/vmlinux";

    // The running kernel's BTF. kUnsupported when the kernel has none.
    [[nodiscard]] static Result<KernelBtf> load(const std::filesystem::path& path = kPath);
    // From a file: raw BTF, or an ELF file with a .BTF section.
    [[nodiscard]] static Result<KernelBtf> from_file(const std::filesystem::path& path);
    // From raw BTF in memory; the bytes are copied.
    [[nodiscard]] static Result<KernelBtf> from_bytes(std::span<const std::byte> bytes);

    KernelBtf(KernelBtf&&) noexcept;
    KernelBtf& operator=(KernelBtf&&) noexcept;
    ~KernelBtf();

    // The value of an enumerator of any enum, sign-extended; nullopt when no enum has it.
    [[nodiscard]] std::optional<std::uint64_t> enumerator(std::string_view name) const;

    // Names and values of a named enum, in order; empty when there is no such enum.
    [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> enumerators_of(const std::string& type) const;

    // Is there a kfunc of this name, malformed or not?
    [[nodiscard]] bool has_kfunc(std::string_view name) const;
    // Is there a kernel function of this name, kfunc or not?
    [[nodiscard]] bool has_func(std::string_view name) const;

    [[nodiscard]] bool has_struct(const std::string& type) const;
    // Is there a struct of this name with this member? Members of anonymous inner structs and unions count.
    [[nodiscard]] bool has_member(const std::string& type, std::string_view member) const;
    // Names of the members of a struct, in order; empty when there is no such struct.
    [[nodiscard]] std::vector<std::string> struct_members(const std::string& type) const;

    // The sched_ext kfuncs (and any other that the BTF tells to be a kfunc) whose prototype is broken, sorted by name.
    // docs/kernel-support.md tells how that comes about.
    [[nodiscard]] const std::vector<MalformedKfunc>& malformed_kfuncs() const;
    // The same for one function of which the caller knows that it is a kfunc, because a BPF object declares it as one.
    [[nodiscard]] std::optional<MalformedKfunc> malformed_kfunc(std::string_view name) const;

    // For calls into libbpf; valid as long as this object.
    [[nodiscard]] const struct btf* raw() const;

private:
    struct Deleter {
        void operator()(struct btf* btf) const;
    };
    class Names;
    struct Index;

    explicit KernelBtf(struct btf* btf);
    [[nodiscard]] const Index& index() const;

    std::unique_ptr<struct btf, Deleter> btf_;
    mutable std::unique_ptr<Index> index_; // views into btf_'s strings
};

} // namespace scxhost
