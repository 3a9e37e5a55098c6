// SPDX-License-Identifier: GPL-2.0-only
//
// What the commands print on stdout. `run` has an Output of its own, which waits for nobody.
#pragma once

#include "host/base/result.hpp"

#include <string_view>

namespace scxhost {

// Buffered, until the buffer is full or flush_stdout().
void print(std::string_view text);
// False: nothing more can be written, and who prints on and on ends.
bool flush_stdout();

// To be called when a command is through. kIo: its output could not be written, and not because the reader had gone
// (`| head`), which is no failure.
Result<> finish_stdout();

} // namespace scxhost
