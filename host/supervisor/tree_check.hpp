// SPDX-License-Identifier: GPL-2.0-only
//
// What can be said about a tree of schedulers before any of them is attached: whether each can be where it is to be.
#pragma once

#include "host/base/result.hpp"
#include "host/config/config.hpp"
#include "host/supervisor/prepared_scheduler.hpp"

#include <cstddef>
#include <optional>

namespace scxhost {

class KernelBtf;

// As many branches can be below each other (7.3.4, SCX_SUB_MAX_DEPTH: four levels, the root's included).
inline constexpr std::size_t kMaxBranchDepth = 3;

// Whether the kernel has branches at all (nullptr: that is not asked), and whether one is too far down. kUnsupported,
// at the first branch that cannot be.
[[nodiscard]] Result<> check_shape(const Config& root, const KernelBtf* kernel);
// Whether what is directly below a seat can be there: below root.below[seat], or below the machine's without one.
// `scheduler` is what is to run there; it has been fitted to the kernel. kUnsupported, at the first branch that cannot.
[[nodiscard]] Result<> check_above(const PreparedScheduler& scheduler, const Config& root,
                                   std::optional<std::size_t> seat);
// All of it, each scheduler opened, bound and fitted, and closed again. What a program attaches is not known before it
// is started. Nothing to do for a configuration without branches.
[[nodiscard]] Result<> check_tree(const Config& root, const KernelBtf& kernel);

} // namespace scxhost
