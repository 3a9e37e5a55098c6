// SPDX-License-Identifier: GPL-2.0-only
//
// Statistics that the user names and no tag declares: the numbers of a global or of a per-CPU array map.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/btf_view.hpp"
#include "host/bpf/declarations.hpp"

#include <string_view>
#include <vector>

namespace scxhost {

// Adds every number of a global or of a per-CPU array map as a statistic, under its dotted name, whatever is declared.
// `variable` names one of them or a member: "stats", "qa.nr_enqueued". An array of integers, and a map of them, gives
// one for each element ("stats[1]"); of an array of structs, and a map of them, the elements are added up. A map whose
// values have a size and no type is one of integers when they have 4 or 8 bytes. Numbers without a sign count as
// counters, those with one as gauges. kConfig: there is none of this name, or no number in it.
Result<> add_variable_statistics(Declarations& declarations, const BtfView& btf,
                                 const std::vector<PerCpuMapType>& per_cpu_maps, std::string_view variable);

} // namespace scxhost
