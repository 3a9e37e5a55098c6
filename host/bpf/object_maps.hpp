// SPDX-License-Identifier: GPL-2.0-only
//
// The maps of an open BPF object, as libbpf has them.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/declarations.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct bpf_map;
struct bpf_object;

namespace scxhost {

// Whether the number of a map's entries is the object's to say; of some types it is libbpf's, or there is none.
[[nodiscard]] bool needs_entries(const bpf_map* map);

// Each map that will be made has the measures that its type needs. `name`: the object's, for the message. The kernel
// would say EINVAL, as it does for what it does not know. Errors: kObject.
[[nodiscard]] Result<> check_map_sizes(const bpf_object* object, const std::string& name);

// The internal map of a data section (".rodata"); nullptr when there is none. libbpf names it after the object, but its
// BTF value type is the section.
[[nodiscard]] bpf_map* find_section_map(const bpf_object* object, std::string_view section);

// The arrays with one instance for each CPU: where statistics are looked for.
[[nodiscard]] std::vector<PerCpuMapType> per_cpu_maps(const bpf_object* object);

// After load. Of a map by CPU, each CPU's value becomes this one. Errors: kObject, with the errno.
Result<> update_map_entry(const bpf_map* map, std::span<const std::byte> key, std::span<const std::byte> value);

} // namespace scxhost
