// SPDX-License-Identifier: GPL-2.0-only
//
// The zoo: plugins that are each broken in one way, and what the host says of each. One table (animals.cpp), gone
// through twice: on any machine through the host's library (zoo_test.cpp), and on real kernels through `scxhost check`
// and `scxhost run` (tests/vm/zoo_test.cpp).
#pragma once

#include "tests/plugins/zoo.hpp"

#include <filesystem>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace scxhost {

// How far an animal gets before it is found out.
enum class Meets {
    kReader,    // its file is read; none of its code has run
    kObject,    // its BPF object is opened; none of its code has run
    kLoader,    // its library is loaded, its instance made
    kConfigure, // the callbacks
    kLoaded,
    kAttached,
    kTick,
    kDetaching,
    kDestroy,
    kEvent, // a record of a ring buffer comes: needs a kernel that runs the object
};

struct Animal {
    const char* name; // of the way in which it is broken
    Meets meets;
    // Puts it into a folder.
    std::function<void(const TempDir& folder)> put;
    // What the host says, to the letter; "{}" stands for its path, "{folder}" for the folder. Of one that hangs: up to
    // how long it has not returned for.
    std::string what;
    std::string hint;

    const char* plugin = "good"; // what the host is asked for
    const char* fault = "";      // what its code does (journal.hpp)
    bool hangs = false;
    bool needs_root = false;
};

inline void PrintTo(const Animal& animal, std::ostream* out) {
    *out << animal.name;
}

// The folder that has the plugins they are made from is zoo_path()'s.
const std::vector<Animal>& animals();

// `what` or `hint` of an animal whose plugin was put here.
std::string in_folder(const Animal& animal, std::string text, const std::filesystem::path& folder);

} // namespace scxhost
