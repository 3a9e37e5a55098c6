// SPDX-License-Identifier: GPL-2.0-only
//
// Listens to power-profiles-daemon, under either of its names on the bus. Everybody may send a signal that looks like
// the daemon's: one is only a reason to ask, and the bus lets nobody else answer. A daemon that does not run is not
// started.
#pragma once

#include "host/dbus/bus.hpp"

#include <array>
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
    // The active one; empty: none is known.
    [[nodiscard]] const std::string& profile() const { return profile_; }
    // Within `changed`: there was none before.
    [[nodiscard]] bool is_first() const { return is_first_; }

private:
    struct Daemon {
        PowerProfiles& owner;
        const char* name;
        const char* path;
        bool asked = false; // no answer yet
    };

    void is(const std::string& profile);
    Result<> listen(Daemon& daemon);
    Result<> ask(Daemon& daemon);

    Bus& bus_;
    std::function<void(const std::string&)> changed_;
    std::string profile_;
    bool is_first_ = true;
    // Since its release 0.20, and before that; newer ones have both.
    std::array<Daemon, 2> daemons_ = {
        Daemon{*this, "org.freedesktop.UPower.PowerProfiles", "/org/freedesktop/UPower/PowerProfiles"},
        Daemon{*this, "net.hadess.PowerProfiles", "/net/hadess/PowerProfiles"}};
};

} // namespace scxhost
