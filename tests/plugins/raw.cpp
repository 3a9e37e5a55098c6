// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin without the SDK's care: it implements the contract by hand, and breaks it in the one way that the test
// names.
#include "tests/plugins/journal.hpp"
#include <scxhost/plugin.h>

#include <array>
#include <climits>
#include <cstring>
#include <stdexcept>

using zoo::has_fault;

namespace {

const scxhost_host* host = nullptr;

std::int32_t act(const char* method) {
    zoo::note(method);
    const std::string name(method);
    if (has_fault(name + ":exception"))
        throw std::runtime_error("nobody catches me");
    if (has_fault(name + ":int"))
        throw 42;
    if (has_fault(name + ":errno"))
        return -ENOSPC;
    if (has_fault(name + ":positive"))
        return 1;
    if (has_fault(name + ":minimum"))
        return INT_MIN;
    return 0;
}

std::int32_t create(const scxhost_host* table, void** instance) {
    host = table;
    *instance = nullptr;
    return act("create");
}

void destroy(void* /*instance*/) {
    scxhost_variable variable{};
    variable.size = sizeof variable;
    const bool closed = host->find_variable(host->context, "count", &variable) == -ENOENT;
    zoo::note(closed ? "destroy, object closed" : "destroy, object open");
    if (has_fault("destroy:exception"))
        throw std::runtime_error("nobody catches me");
}

bool misuse_of_1_1() {
    scxhost_statistic statistic{};
    const auto add = [&] { return host->add_statistic(host->context, &statistic); };
    statistic.name = "raw";
    const bool no_size = add() == -EINVAL;
    statistic.size = sizeof statistic;
    statistic.kind = 2;
    const bool no_kind = add() == -EINVAL;
    statistic.kind = SCXHOST_GAUGE;
    statistic.name = nullptr;
    const bool no_name = add() == -EINVAL;
    statistic.name = "two words";
    const bool no_word = add() == -EINVAL;
    statistic.name = "raw";
    const bool taken = add() == 0;
    return no_size && no_kind && no_name && no_word && taken && add() == -EEXIST &&
           host->add_statistic(host->context, nullptr) == -EINVAL && host->set_statistic(host->context, 0, 7) == 0 &&
           host->set_statistic(host->context, 1, 7) == -EINVAL &&
           host->set_statistic(host->context, -1, 7) == -EINVAL &&
           host->watch_events(host->context, nullptr, nullptr, nullptr) == -EINVAL &&
           host->run_program(host->context, nullptr, nullptr, 0, nullptr) == -EINVAL &&
           host->run_program(host->context, "zoo_enqueue", nullptr, 8, nullptr) == -EINVAL &&
           host->run_program(host->context, "zoo_enqueue", nullptr, 0, nullptr) == -EINVAL && // of another type
           host->resize(host->context, nullptr, 1) == -EINVAL && host->resize(host->context, "nothing", 1) == -ENOENT &&
           host->resize(host->context, "count", 2) == -EINVAL && host->resize(host->context, "count", 0) == -EINVAL &&
           host->set_flag(host->context, nullptr) == -EINVAL && host->set_flag(host->context, "ENQ_LAST") == -EINVAL;
}

// Asks the host for things in every wrong way; 0 when it answers as the contract says.
std::int32_t misuse() {
    scxhost_variable variable{};
    scxhost_map map{};
    const bool right = host->find_variable(host->context, "count", &variable) == -EINVAL && // size 0
                       host->find_variable(host->context, nullptr, &variable) == -EINVAL &&
                       host->find_variable(host->context, "count", nullptr) == -EINVAL &&
                       host->find_map(host->context, "zoo", &map) == -EINVAL &&
                       host->find_map(host->context, nullptr, &map) == -EINVAL && misuse_of_1_1();
    host->log(host->context, 99, nullptr);
    host->report_error(host->context, nullptr, nullptr);
    return right ? 0 : -EIO;
}

std::int32_t configure(void* /*instance*/) {
    return has_fault("misuse") ? misuse() : act("configure");
}
std::int32_t loaded(void* /*instance*/) {
    return act("loaded");
}
std::int32_t attached(void* /*instance*/) {
    return act("attached");
}
std::int32_t tick(void* /*instance*/) {
    return act("tick");
}
std::int32_t detaching(void* /*instance*/) {
    return act("detaching");
}

// Longer than the host knows, as a newer contract's would be.
template <typename T>
struct Longer {
    T known{};
    std::array<unsigned char, 16> tail{};
};

Longer<scxhost_plugin_callbacks> callbacks;
Longer<scxhost_plugin_descriptor> descriptor;
scxhost_plugin_info info;
std::array<unsigned char, 1 << 20> object;

} // namespace

extern "C" const scxhost_plugin_callbacks scxhost_plugin_callbacks_table;
extern "C" const scxhost_plugin_callbacks scxhost_plugin_callbacks_table = {.size = sizeof(scxhost_plugin_callbacks),
                                                                            .reserved = 0,
                                                                            .create = create,
                                                                            .destroy = destroy,
                                                                            .configure = configure,
                                                                            .loaded = loaded,
                                                                            .attached = attached,
                                                                            .tick = tick,
                                                                            .detaching = detaching};

// The generated entry function under another name (CMakeLists.txt).
extern "C" const scxhost_plugin_descriptor* generated_entry();
extern "C" __attribute__((visibility("default"))) const scxhost_plugin_descriptor* scxhost_plugin();

const scxhost_plugin_descriptor* scxhost_plugin() {
    if (has_fault("entry:exception"))
        throw std::runtime_error("nobody catches me");
    if (has_fault("null descriptor"))
        return nullptr;
    descriptor.known = *generated_entry();
    callbacks.known = scxhost_plugin_callbacks_table;
    info = *descriptor.known.info;
    std::memcpy(object.data(), descriptor.known.object, descriptor.known.object_bytes);
    descriptor.known.callbacks = &callbacks.known;
    if (has_fault("null info"))
        descriptor.known.info = nullptr;
    if (has_fault("short descriptor"))
        descriptor.known.size -= 8;
    if (has_fault("endless descriptor"))
        descriptor.known.size = UINT32_MAX;
    if (has_fault("descriptor with a zero tail"))
        descriptor.known.size = sizeof descriptor;
    if (has_fault("descriptor with a tail")) {
        descriptor.known.size = sizeof descriptor;
        descriptor.tail.back() = 1;
    }
    if (has_fault("other name")) {
        std::strcpy(info.name, "somebody");
        descriptor.known.info = &info;
    }
    if (has_fault("other object")) {
        object[descriptor.known.object_bytes / 2] ^= 1;
        descriptor.known.object = object.data();
    }
    if (has_fault("no object"))
        descriptor.known.object = nullptr;
    if (has_fault("short object"))
        descriptor.known.object_bytes -= 1;
    if (has_fault("short callbacks"))
        callbacks.known.size = 4;
    if (has_fault("no callback"))
        callbacks.known.size = 8;
    if (has_fault("half a callback"))
        callbacks.known.size = 8 + 4;
    if (has_fault("endless callbacks"))
        callbacks.known.size = UINT32_MAX;
    if (has_fault("callbacks with a zero tail"))
        callbacks.known.size = sizeof callbacks;
    if (has_fault("callbacks with a tail")) {
        callbacks.known.size = sizeof callbacks;
        callbacks.tail.back() = 1;
    }
    return &descriptor.known;
}
