// SPDX-License-Identifier: GPL-2.0-only
#include "tests/bench/workloads.hpp"

#include "tests/support/pipe.hpp"
#include "tests/vm/children.hpp"

#include <array>
#include <stdexcept>

namespace scxhost {

void ping_pong(std::uint64_t round_trips, const std::function<void()>& after_each) {
    const Pipe there;
    const Pipe back;
    Children other;
    other.start([&](Board&, std::size_t) {
        for (std::uint64_t i = 0; i < round_trips; ++i) {
            there.receive();
            back.send();
        }
    });
    for (std::uint64_t i = 0; i < round_trips; ++i) {
        there.send();
        back.receive();
        if (after_each)
            after_each();
    }
    other.join();
}

void message_storm(std::uint64_t messages) {
    constexpr std::size_t kSenders = 8;
    constexpr std::size_t kReceivers = 8;
    const std::array<Pipe, kReceivers> pipes;
    const std::uint64_t each = messages / kSenders / kReceivers;
    const Pipe start;
    Children tasks;
    for (std::size_t receiver = 0; receiver < kReceivers; ++receiver)
        tasks.start([&](Board&, std::size_t) {
            for (std::uint64_t i = 0; i < each * kSenders; ++i)
                pipes[receiver].receive();
        });
    for (std::size_t sender = 0; sender < kSenders; ++sender)
        tasks.start([&](Board&, std::size_t) {
            start.receive();
            for (std::uint64_t i = 0; i < each; ++i)
                for (const Pipe& pipe : pipes)
                    pipe.send();
        });
    for (std::size_t sender = 0; sender < kSenders; ++sender)
        start.send();
    tasks.join();
}

void forks(std::uint64_t count) {
    if (fork_storm(count, 8) != 0)
        throw std::runtime_error("a fork failed");
}

} // namespace scxhost
