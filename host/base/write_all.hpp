// SPDX-License-Identifier: GPL-2.0-only
//
// The loop around write(): a signal and a short count are no failures.
#pragma once

#include <string_view>

namespace scxhost {

// Writes all of `bytes`. The errno of what ended it; 0 when all is written.
[[nodiscard]] int write_all(int fd, std::string_view bytes);

} // namespace scxhost
