// SPDX-License-Identifier: GPL-2.0-only
#include "host/dbus/power_profiles.hpp"

#include <chrono>
#include <string_view>

namespace scxhost {
namespace {

constexpr const char* kProperty = "ActiveProfile";
constexpr std::chrono::seconds kPatience{25};

// Of the changed properties, a{sv}: the profile; empty: it is not among them.
std::string profile_in(sd_bus_message* signal) {
    std::string profile;
    const char* interface = nullptr;
    if (sd_bus_message_read(signal, "s", &interface) < 0 || sd_bus_message_enter_container(signal, 'a', "{sv}") < 0)
        return profile;
    while (sd_bus_message_enter_container(signal, 'e', "sv") > 0) {
        const char* key = nullptr;
        const char* text = nullptr;
        if (sd_bus_message_read(signal, "s", &key) < 0)
            break;
        if (std::string_view(key) == kProperty && sd_bus_message_read(signal, "v", "s", &text) > 0)
            profile = text;
        else if (std::string_view(key) == kProperty || sd_bus_message_skip(signal, "v") < 0)
            break; // of another type
        if (sd_bus_message_exit_container(signal) < 0)
            break;
    }
    return profile;
}

} // namespace

Result<> PowerProfiles::start() {
    // Since its release 0.20, and before that; newer ones have both.
    SCXHOST_TRY(listen("org.freedesktop.UPower.PowerProfiles", "/org/freedesktop/UPower/PowerProfiles"));
    return listen("net.hadess.PowerProfiles", "/net/hadess/PowerProfiles");
}

void PowerProfiles::is(const std::string& profile) {
    if (profile.empty() || profile == profile_)
        return;
    profile_ = profile;
    changed_(profile);
}

Result<> PowerProfiles::listen(const char* name, const char* path) {
    const auto heard = [](sd_bus_message* signal, void* self, sd_bus_error*) noexcept {
        static_cast<PowerProfiles*>(self)->is(profile_in(signal));
        return 0;
    };
    if (const int code = sd_bus_match_signal_async(bus_.get(), nullptr, name, path, "org.freedesktop.DBus.Properties",
                                                   "PropertiesChanged", heard, nullptr, this);
        code < 0)
        return fail_errno(ErrorKind::kIo, "cannot listen to power profiles", -code);
    BusMessage question = bus_.method_call(name, path, "org.freedesktop.DBus.Properties", "Get");
    if (question && sd_bus_message_append(question.get(), "ss", name, kProperty) < 0)
        question.reset();
    return bus_.call(std::move(question), kPatience, [this](sd_bus_message* answer) {
        const char* text = nullptr;
        if (error_text(answer).empty() && sd_bus_message_read(answer, "v", "s", &text) > 0)
            is(text);
    });
}

} // namespace scxhost
