// SPDX-License-Identifier: GPL-2.0-only
//
// One function object out of several, for std::visit: Overloaded{[](bool) {...}, [](const std::string&) {...}}.
#pragma once

namespace scxhost {

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};

} // namespace scxhost
