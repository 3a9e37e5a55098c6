// SPDX-License-Identifier: GPL-2.0-only
//
// Which kernel runs, for messages and for the places of its files. What it can do is asked of its BTF, not of its
// number.
#pragma once

#include <string>

namespace scxhost {

// As uname gives it, "7.3.4+deb13-cloud-amd64"; "unknown" when it does not.
[[nodiscard]] std::string kernel_release();

} // namespace scxhost
