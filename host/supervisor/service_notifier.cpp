// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/service_notifier.hpp"

#include <systemd/sd-daemon.h>

#include <ctime>
#include <utility>

namespace scxhost {

void ServiceNotifier::ready() {
    ready_ = true;
    (void)::sd_notify(0, "READY=1");
}

void ServiceNotifier::reloading() {
    if (!ready_)
        return;
    reloading_ = true;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    (void)::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", now.tv_sec * 1'000'000LL + now.tv_nsec / 1000);
}

void ServiceNotifier::reloaded() {
    if (std::exchange(reloading_, false))
        (void)::sd_notify(0, "READY=1");
}

void ServiceNotifier::status(const std::string& text) {
    if (text != std::exchange(status_, text))
        (void)::sd_notifyf(0, "STATUS=%s", text.c_str());
}

void ServiceNotifier::stopping() {
    (void)::sd_notify(0, "STOPPING=1");
}

} // namespace scxhost
