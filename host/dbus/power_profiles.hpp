// SPDX-License-Identifier: GPL-2.0-only
//
// Listens to power-profiles-daemon, under either of its names on the bus.
#pragma once

#include "host/dbus/bus.hpp"

#include <functional>
#include <string>

namespace scxhost {

class PowerProfiles {
public:
    // `changed` is called with the active profile: when it is known first, and whenever it is another one. `bus` must
    // outlive this. Where there is no such daemon it is never called.
    PowerProfiles(Bus& bus, std::function<void(const std::string& profile)> changed)
        : bus_(bus)
        , changed_(std::move(changed)) {}
    PowerProfiles(const PowerProfiles&) = delete;
    PowerProfiles& operator=(const PowerProfiles&) = delete;

    // Errors: kIo.
    Result<> start();

private:
    void is(const std::string& profile);
    Result<> listen(const char* name, const char* path);

    Bus& bus_;
    std::function<void(const std::string&)> changed_;
    std::string profile_;
};

} // namespace scxhost
