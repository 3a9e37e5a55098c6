// SPDX-License-Identifier: GPL-2.0-only
//
// Asks the questions of the slots experiment in a guest. `run` in this folder boots it.
#include "host/base/standard_descriptors.hpp"
#include "tests/research/slots/questions.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace scxhost::slots {
namespace {

int run(int argc, char** argv) {
    Settings settings;
    std::vector<std::string> asked;
    const std::map<std::string, std::function<void()>> questions = {
        {"members", [] { ask_members(); }},    {"cost", [&] { ask_cost(settings); }},
        {"kfuncs", [] { ask_kfuncs(); }},      {"change", [&] { ask_change(settings); }},
        {"load", [&] { ask_load(settings); }}, {"errors", [] { ask_errors(); }},
    };
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--rounds" && i + 1 < argc)
            settings.rounds = std::max(1, std::atoi(argv[++i]));
        else if (word == "--repeats" && i + 1 < argc)
            settings.repeats = std::max(1, std::atoi(argv[++i]));
        else if (word == "--changes" && i + 1 < argc)
            settings.changes = std::strtoull(argv[++i], nullptr, 10);
        else if (questions.contains(word))
            asked.push_back(word);
        else {
            fmt::print(stderr,
                       "slots_research: unknown argument '{}' (known: members, cost, kfuncs, change, load, errors, "
                       "--rounds N, --repeats N, --changes N)\n",
                       word);
            return 2;
        }
    }
    // The verifier's logs are asked for where they are wanted.
    ::libbpf_set_print(std::getenv("SLOTS_VERBOSE") == nullptr
                           ? [](enum libbpf_print_level, const char*, va_list) { return 0; }
                           : nullptr);
    int status = 0;
    for (const std::string& question : asked) {
        fmt::print("== {}\n", question);
        try {
            questions.at(question)();
        } catch (const std::exception& error) {
            std::fflush(stdout);
            fmt::print(stderr, "slots_research: {}: {}\n", question, error.what());
            status = 1;
        }
        fmt::print("\n");
        std::fflush(stdout);
    }
    return status;
}

} // namespace
} // namespace scxhost::slots

int main(int argc, char** argv) {
    scxhost::open_standard_descriptors();
    return scxhost::slots::run(argc, argv);
}
