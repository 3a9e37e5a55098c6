// SPDX-License-Identifier: GPL-2.0-only
//
// The questions of the slots experiment, as docs/research/slots.md numbers them. Each prints what it finds on stdout,
// and throws when it could not find out. "No" is an answer, not an error.
#pragma once

#include <cstdint>

namespace scxhost::slots {

struct Settings {
    int rounds = 30;               // of what costs are measured with
    int repeats = 3;               // of the comparison of changes with swaps
    std::uint64_t changes = 10000; // of policy, under load; of each other way a fifth
};

void ask_members();                        // 1: which callbacks may end in a tail call
void ask_cost(const Settings& settings);   // 2: what the slots cost
void ask_kfuncs();                         // 3: what works in a tail-called program
void ask_change(const Settings& settings); // 4: what others see of changes, and of swaps of the root
void ask_load(const Settings& settings);   // 4: many changes under load
void ask_errors();                         // 5: what of a policy's faults the root survives

} // namespace scxhost::slots
