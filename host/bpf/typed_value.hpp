// SPDX-License-Identifier: GPL-2.0-only
//
// Settings stored in a value of which the object's BTF tells the type: a variable, the value or key of a map, the
// context of a program. Members and elements are named by a path, "limits.quota" or "cpus.3".
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/btf_view.hpp"
#include "host/bpf/declarations.hpp"
#include "host/bpf/machine_facts.hpp"
#include "host/bpf/plain_options.hpp"
#include "host/config/setting.hpp"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

struct TypedValue {
    std::uint32_t type_id = 0;  // 0: it has none, and is a number without a sign if it is as large as one
    std::span<std::byte> bytes; // as large as its type
};

// The part of a type that `path` names, empty for all of it, as if it were an option; `variable.offset` is where it
// starts. Why it cannot be one: half a sentence after its name.
std::expected<OptionDeclaration, NoOption> find_part(const BtfView& btf, std::uint32_t type_id, std::string_view path);

// Paths of what can be set in a type, in the order of declaration; arrays of structs by their first elements.
std::vector<std::string> settable_parts(const BtfView& btf, std::uint32_t type_id);

// Stores `setting` in the part that `path` names; with ".machine" at its end, a fact of the machine. `cpu`: for one
// CPU, whose number then stands for kEachCpu and kEachOnlineCpu, and of a fact that has one number for each CPU this
// one's is meant. kConfig with the setting's place.
inline constexpr std::string_view kEachCpu = "each-cpu";
inline constexpr std::string_view kEachOnlineCpu = "each-online-cpu";
struct StoredPart {
    std::string path;         // without ".machine"
    std::uint32_t offset = 0; // in the value
    std::uint32_t bytes = 0;
    std::string text; // what was stored, as TOML
};
Result<StoredPart> store_part(const BtfView& btf, const TypedValue& into, std::string_view path, const Setting& setting,
                              const MachineFacts& machine, std::optional<std::uint32_t> cpu = {});

} // namespace scxhost
