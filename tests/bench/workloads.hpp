// SPDX-License-Identifier: GPL-2.0-only
//
// What benchmarks give a scheduler to do. Each function returns when all its operations are done.
#pragma once

#include <cstdint>
#include <functional>

namespace scxhost {

// Two processes and two pipes. `after_each`, if any, is called in this process after each round trip.
void ping_pong(std::uint64_t round_trips, const std::function<void()>& after_each = {});
// Eight senders; every one writes to each of eight receivers in turn.
void message_storm(std::uint64_t messages);
// Short processes, eight at once. Throws when a fork failed.
void forks(std::uint64_t count);

} // namespace scxhost
