// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/object_maps.hpp"

#include "host/kernel/btf_types.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace scxhost {
namespace {

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

bool needs_entries(const bpf_map* map) {
    switch (bpf_map__type(map)) {
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

Result<> check_map_sizes(const bpf_object* object, const std::string& name) {
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        const bool no_entries = needs_entries(map) && bpf_map__max_entries(map) == 0;
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

bpf_map* find_section_map(const bpf_object* object, std::string_view section) {
    const btf* types = bpf_object__btf(object);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (!bpf_map__is_internal(map))
            continue;
        const std::uint32_t type_id = bpf_map__btf_value_type_id(map);
        const btf_type* type = type_id == 0 ? nullptr : btf__type_by_id(types, type_id);
        if (type != nullptr && btf_is_datasec(type) && btf_name(types, type->name_off) == section)
            return map;
    }
    return nullptr;
}

std::vector<PerCpuMapType> per_cpu_maps(const bpf_object* object) {
    std::vector<PerCpuMapType> result;
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY)
            result.push_back({bpf_map__name(map), bpf_map__btf_value_type_id(map), bpf_map__max_entries(map),
                              bpf_map__value_size(map)});
    }
    return result;
}

Result<> update_map_entry(const bpf_map* map, std::span<const std::byte> key, std::span<const std::byte> value) {
    if (key.size() != bpf_map__key_size(map) || value.size() != bpf_map__value_size(map))
        return fail(ErrorKind::kInternal, fmt::format("map {} is not as it was", bpf_map__name(map)));
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

} // namespace scxhost
