// SPDX-License-Identifier: GPL-2.0-only
//
// Whether this process sees the machine as the kernel's own code does, or from a container.
#pragma once

namespace scxhost {

// Without /proc there is no telling, and both say yes.
[[nodiscard]] bool in_initial_user_namespace();
[[nodiscard]] bool in_initial_pid_namespace();

} // namespace scxhost
