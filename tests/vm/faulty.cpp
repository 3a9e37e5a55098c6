// SPDX-License-Identifier: GPL-2.0-only
//
// The user-space half of the faulty plugin: throws where its option says so, and has its own scheduler ejected in
// detaching().
#include "faulty.h"

#include <scxhost/plugin.hpp>

#include <pthread.h>

#include <chrono>
#include <string>
#include <thread>

namespace {

class Faulty : public scxhost::sdk::Plugin {
public:
    explicit Faulty(const scxhost::sdk::Host& host)
        : Plugin(host)
        , throws_(host.get<enum throws>("throws"))
        , fault_(host.get<enum fault>("fault")) {
        pass(THROWS_CREATE, "create");
    }

    void configure() override { pass(THROWS_CONFIGURE, "configure"); }
    void loaded() override { pass(THROWS_LOADED, "loaded"); }
    void attached() override { pass(THROWS_ATTACHED, "attached"); }
    void tick() override { pass(THROWS_TICK, "tick"); }
    void detaching() override {
        pass(THROWS_DETACHING, "detaching");
        if (fault_ == FAULT_DETACHING) {
            ::pthread_setname_np(::pthread_self(), "!detaching");
            std::this_thread::sleep_for(std::chrono::milliseconds(1)); // to be enqueued when it wakes up
        }
    }

private:
    void pass(enum throws where, const char* name) const {
        if (where == throws_)
            throw scxhost::sdk::Error(std::string("faulty throws in ") + name);
    }

    enum throws throws_;
    enum fault fault_;
};

} // namespace

SCXHOST_PLUGIN(Faulty);
