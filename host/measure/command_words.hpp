// SPDX-License-Identifier: GPL-2.0-only
//
// A command that stands in one text, as a program and its arguments: no shell is asked.
#pragma once

#include "host/base/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// Words end at blanks. Between ' and ' everything stands for itself; between " and " too, but \" and \\ are " and \.
// Outside, \ takes the next character as it is. Parts that touch are one word, and '' is an empty one. Nothing else has
// a meaning: no variables, patterns, pipes or redirections. kUsage: a quote that is not closed, a \ at the end, no word
// at all, or one of the characters ; | & < > ` $ * ? outside of quotes, which whoever writes them expects a shell to
// see.
[[nodiscard]] Result<std::vector<std::string>> split_command(std::string_view text);

} // namespace scxhost
