// SPDX-License-Identifier: GPL-2.0-only
//
// `scxhost info`: what this machine and its kernel can do.
#pragma once

#include "host/base/result.hpp"
#include "host/kernel/kernel_info.hpp"

#include <ostream>

namespace scxhost {

// As text for people. `programs` is what check_program_rights() says of this process.
void print_kernel_info(std::ostream& out, const KernelInfo& info, const Result<>& programs);

// The command: gathers and prints, as JSON if asked for. It reports and judges nothing: a machine that cannot run a
// scheduler is no error.
void info_command(std::ostream& out, bool json);

} // namespace scxhost
