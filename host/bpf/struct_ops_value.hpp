// SPDX-License-Identifier: GPL-2.0-only
//
// Hands a struct_ops map's value to the kernel ahead of the attach. The kernel makes a trampoline for each callback
// when the value comes (bpf_struct_ops_map_update_elem, 6.16 and 7.3.4), a large part of an attach and none of the
// link's. libbpf does both in one call; it passes over a value that is there already (EBUSY).
#pragma once

#include "host/base/result.hpp"

struct bpf_map;
struct btf;

namespace scxhost {

// `map` is loaded, its value type is in `object`, and it is to be attached with a link (BPF_F_LINK): otherwise the
// value alone would attach it. From then on the value is fixed. Errors: kAttach; the attach may still work.
Result<> commit_struct_ops(const bpf_map* map, const btf* object, const btf* kernel);

} // namespace scxhost
