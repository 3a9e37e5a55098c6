// SPDX-License-Identifier: GPL-2.0-only
//
// What a plugin of the zoo did, in order: a file, since the test must still read it when the library is gone. Both
// sides are told by the environment.
#pragma once

#include <cstdlib>
#include <fstream>
#include <string>

namespace zoo {

inline constexpr const char* kJournal = "SCXHOST_ZOO_JOURNAL"; // path of the file
inline constexpr const char* kFault = "SCXHOST_ZOO_FAULT";     // what goes wrong

inline void note(const std::string& event) {
    if (const char* path = std::getenv(kJournal))
        std::ofstream(path, std::ios::app) << event << '\n';
}

inline bool has_fault(const std::string& name) {
    const char* fault = std::getenv(kFault);
    return fault != nullptr && name == fault;
}

} // namespace zoo
