// SPDX-License-Identifier: GPL-2.0-only
//
// Questions about a BPF object's own type information: resolved types, sizes, declaration tags. A view: the struct btf
// belongs to the caller and must outlive it. The object may be hostile, so every walk is bounded. libbpf may move its
// types and strings when a map is resized: names and tags are kept as copies, and a ResolvedType is for use at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct btf;
struct btf_type;

namespace scxhost {

// A type without its modifiers and typedefs.
struct ResolvedType {
    std::uint32_t id = 0;
    const btf_type* type = nullptr;
    bool is_const = false;
    bool is_volatile = false;
};

// How a variable or member that an option or a statistic can use is stored.
enum class StorageKind { kBool, kInteger, kEnum, kText, kIntegers };

struct Storage {
    StorageKind kind = StorageKind::kInteger;
    std::uint32_t width = 0; // bytes of one element
    std::uint32_t count = 1; // elements of kText and kIntegers, of all rows
    std::uint32_t rows = 1;  // of kIntegers: more for an array of two dimensions
    bool is_signed = false;
    std::vector<std::pair<std::string, std::int64_t>> enumerators; // of kEnum

    [[nodiscard]] std::uint32_t bytes() const { return width * count; }
};

// A global variable and where it stands.
struct VariablePlace {
    std::string section; // ".rodata", ".data.uei_dump", …
    std::string name;
    std::uint32_t offset = 0; // in the section
    std::uint32_t size = 0;
    std::uint32_t var_id = 0;  // BTF id of the variable itself (its tags)
    std::uint32_t type_id = 0; // BTF id of its type, modifiers included

    [[nodiscard]] bool is_read_only() const { return section.starts_with(".rodata"); }
};

// Where an arena's globals are.
inline constexpr std::string_view kArenaSection = ".addr_space.1";

class BtfView {
public:
    explicit BtfView(const btf* btf);

    [[nodiscard]] std::optional<ResolvedType> resolve(std::uint32_t id) const;
    [[nodiscard]] std::string_view name(std::uint32_t offset) const;
    [[nodiscard]] std::optional<std::uint32_t> size_of(std::uint32_t id) const;
    // nullopt: a type that no option and no statistic can have (a struct, a pointer, an array of structs).
    [[nodiscard]] std::optional<Storage> storage(std::uint32_t id) const;
    // The same, but arrays of integers may have two dimensions.
    [[nodiscard]] std::optional<Storage> option_storage(std::uint32_t id) const;
    // A type as C would write it, for messages: "unsigned int", "char[16]", "struct foo".
    [[nodiscard]] std::string describe(std::uint32_t id) const;

    // Declaration tags on a type or variable (component -1) or on one member of a struct.
    [[nodiscard]] std::span<const std::string> tags(std::uint32_t id, int component = -1) const;
    [[nodiscard]] bool has_member_tags(std::uint32_t struct_id) const;

    // Variables of every data section, in the order of sections and offsets.
    [[nodiscard]] const std::vector<VariablePlace>& variables() const { return variables_; }
    [[nodiscard]] const VariablePlace* find_variable(std::string_view name) const;
    [[nodiscard]] bool has_function(const std::string& name) const;

    [[nodiscard]] const btf* raw() const { return btf_; }

private:
    void index_section(const btf_type* section);

    const btf* btf_;
    std::map<std::pair<std::uint32_t, int>, std::vector<std::string>> tags_;
    std::vector<VariablePlace> variables_;
};

} // namespace scxhost
