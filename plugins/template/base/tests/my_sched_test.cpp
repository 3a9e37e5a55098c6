// SPDX-License-Identifier: GPL-2.0-only
//
// What my_sched says about itself and how its options reach its variables. Takes the plugin's path; needs no kernel.
#include <scxhost/testing.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using scxhost::testing::Failure;
using scxhost::testing::Scheduler;

void check(bool condition, const char* what) {
    if (!condition)
        throw std::runtime_error(std::string("not so: ") + what);
}

void test(const std::string& plugin) {
    const Scheduler defaults(plugin);
    check(defaults.option("slice") == "\"5ms\"", "a slice is 5 ms when nothing is said");
    check(defaults.statistics() == std::vector<std::string>{"direct", "queued"}, "there are two statistics");

    Scheduler set(plugin, {"slice=20ms", "direct=false"});
    check(set.get<std::uint64_t>("slice_ns") == 20'000'000, "20ms arrives as nanoseconds");
    check(!set.get<bool>("direct"), "direct can be turned off");
    set.configure();

    try {
        Scheduler(plugin, {"slice=1h"});
        check(false, "a slice of an hour is refused");
    } catch (const Failure&) {
    }
}

} // namespace

int main(int argc, char** argv) {
    try {
        test(argc > 1 ? argv[1] : "");
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
