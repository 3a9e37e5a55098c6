// SPDX-License-Identifier: GPL-2.0-only
//
// Fits an opened object to the running kernel: clears what the kernel lacks where the scheduler can do without, refuses
// with the names of the missing pieces where it cannot. Before load.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/scheduler_object.hpp"

#include <string>
#include <vector>

namespace scxhost {

class KernelBtf;

// For an object that holds its scheduler in two forms: takes the one that suits the kernel, by what the object declares
// (SCX_FORM_CID); where it declares nothing, the cid form for a branch only, which needs it. Before options are bound.
Result<> choose_form(SchedulerObject& object, const KernelBtf& kernel, bool is_branch);

// Returns one line for each thing that the scheduler does without. kUnsupported: the kernel lacks the form of
// scheduler that it is written in, a value of its configuration is not known, or a kfunc that it needs is missing or
// malformed in the kernel's BTF (all of them are named).
Result<std::vector<std::string>> fit_to_kernel(SchedulerObject& object, const KernelBtf& kernel);

} // namespace scxhost
