// SPDX-License-Identifier: GPL-2.0-only
//
// What desktop tools may choose from over D-Bus ([dbus.schedulers]), and what each choice asks the host for.
#pragma once

#include "host/base/result.hpp"
#include "host/config/config.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// The modes of the interface org.scx.Loader, whose numbers are their places here.
inline constexpr std::array<std::string_view, 5> kDesktopModes = {"Auto", "Gaming", "PowerSave", "LowLatency",
                                                                  "Server"};

// What the control socket's `swap` is asked for.
struct DesktopChoice {
    std::string what;             // a plugin's name, or the absolute path of a configuration
    bool again = false;           // in place of `what`: what runs
    std::vector<std::string> set; // "scheduler.options.slice=\"1ms\"", as in the host's status

    bool operator==(const DesktopChoice&) const = default;
};

struct DesktopScheduler {
    std::string name;                           // what clients call it: "scx_bpfland"
    std::map<std::size_t, DesktopChoice> modes; // by mode; Auto is always there

    bool operator==(const DesktopScheduler&) const = default;
};

// One mode of one of them.
struct DesktopMode {
    std::string scheduler;
    std::size_t mode = 0;
};
// "NAME" or "NAME:MODE", as the configuration has checked it.
[[nodiscard]] DesktopMode parse_desktop_mode(std::string_view text);

// What config.power says of a profile as power-profiles-daemon calls it ("power-saver"); nullopt: nothing.
[[nodiscard]] std::optional<DesktopMode> mode_for_profile(const Config& config, std::string_view profile);

// Reads config.dbus, and checks what refers to it. Errors: kConfig, at the place of what is wrong.
[[nodiscard]] Result<std::vector<DesktopScheduler>> desktop_schedulers(const Config& config);

} // namespace scxhost
