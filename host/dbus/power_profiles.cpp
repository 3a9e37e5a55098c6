// SPDX-License-Identifier: GPL-2.0-only
#include "host/dbus/power_profiles.hpp"

#include <fmt/format.h>

#include <chrono>

namespace scxhost {
namespace {

constexpr const char* kProperty = "ActiveProfile";
constexpr std::chrono::seconds kPatience{25};

} // namespace

Result<> PowerProfiles::start() {
    for (Daemon& daemon : daemons_)
        SCXHOST_TRY(listen(daemon));
    return {};
}

void PowerProfiles::is(const std::string& profile) {
    if (profile.empty() || profile == profile_)
        return;
    is_first_ = profile_.empty();
    profile_ = profile;
    changed_(profile);
}

Result<> PowerProfiles::listen(Daemon& daemon) {
    const auto heard = [](sd_bus_message*, void* data, sd_bus_error*) noexcept {
        auto& of = *static_cast<Daemon*>(data);
        (void)of.owner.ask(of);
        return 0;
    };
    const std::string appears = fmt::format("type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                            "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{}'",
                                            daemon.name);
    int code =
        sd_bus_match_signal_async(bus_.get(), nullptr, daemon.name, daemon.path, "org.freedesktop.DBus.Properties",
                                  "PropertiesChanged", heard, nullptr, &daemon);
    if (code >= 0)
        code = sd_bus_add_match_async(bus_.get(), nullptr, appears.c_str(), heard, nullptr, &daemon);
    if (code < 0)
        return fail_errno(ErrorKind::kIo, "cannot listen to power profiles", -code);
    return ask(daemon);
}

Result<> PowerProfiles::ask(Daemon& daemon) {
    if (daemon.asked)
        return {};
    BusMessage question = bus_.method_call(daemon.name, daemon.path, "org.freedesktop.DBus.Properties", "Get");
    if (question && (sd_bus_message_append(question.get(), "ss", daemon.name, kProperty) < 0 ||
                     sd_bus_message_set_auto_start(question.get(), 0) < 0))
        question.reset();
    SCXHOST_TRY(bus_.call(std::move(question), kPatience, [this, &daemon](sd_bus_message* answer) {
        daemon.asked = false;
        const char* text = nullptr;
        if (error_text(answer).empty() && sd_bus_message_read(answer, "v", "s", &text) > 0)
            is(text);
    }));
    daemon.asked = true;
    return {};
}

} // namespace scxhost
