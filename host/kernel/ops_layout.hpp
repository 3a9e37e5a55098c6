// SPDX-License-Identifier: GPL-2.0-only
//
// Where a scheduler's struct_ops keeps what in the value of its BPF map, by the running kernel's BTF: how schedulers
// are read whose BPF object is somebody else's.
#pragma once

#include "host/kernel/kernel_btf.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scxhost {

// Offsets are in bytes, from the value's start.
struct OpsLayout {
    std::string type;             // "sched_ext_ops"
    std::uint32_t value_type = 0; // BTF id of the map's value in the kernel's BTF
    std::uint32_t name = 0;
    std::optional<std::uint32_t> sub_cgroup;
    std::optional<std::uint32_t> flags;
    std::optional<std::uint32_t> timeout;                         // timeout_ms
    std::vector<std::pair<std::string, std::uint32_t>> callbacks; // where the ids of their programs are
};

// One for each form that the kernel has: by CPU number, and by cid from 7.2. Empty without sched_ext.
[[nodiscard]] std::vector<OpsLayout> ops_layouts(const KernelBtf& kernel);

// The value at an offset; zero when the bytes end before.
template <typename T>
T read_at(std::span<const std::byte> bytes, std::uint32_t offset) {
    T value{};
    if (offset + sizeof value <= bytes.size())
        std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

// The name in a value, as in root/ops while the scheduler runs.
[[nodiscard]] std::string ops_name_in(std::span<const std::byte> value, const OpsLayout& layout);

} // namespace scxhost
