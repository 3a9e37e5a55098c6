// SPDX-License-Identifier: GPL-2.0-only
//
// What a plugin of the zoo did, in order: a file, since the test must still read it when the library is gone. Both
// sides are told by the environment.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace zoo {

inline constexpr const char* kJournal = "SCXHOST_ZOO_JOURNAL"; // path of the file
inline constexpr const char* kFault = "SCXHOST_ZOO_FAULT";     // what goes wrong
inline constexpr const char* kGate = "SCXHOST_ZOO_GATE";       // path of a file: what hangs returns when it is gone

inline void note(const std::string& event) {
    if (const char* path = std::getenv(kJournal))
        std::ofstream(path, std::ios::app) << event << '\n';
}

inline bool has_fault(const std::string& name) {
    const char* fault = std::getenv(kFault);
    return fault != nullptr && name == fault;
}

// The environment is read before the note: after it the test may change it while this goes on.
inline void hang(std::chrono::milliseconds pause = std::chrono::milliseconds(1)) {
    const char* gate = std::getenv(kGate);
    const std::string path = gate == nullptr ? "/" : gate;
    note("hangs");
    for (std::error_code error; std::filesystem::exists(path, error);)
        std::this_thread::sleep_for(pause);
}

} // namespace zoo
