// SPDX-License-Identifier: GPL-2.0-only
//
// What a service manager is told (sd_notify(3)): when the host is ready, that it reads its configuration again and when
// that is done, and one line of state. Without a service manager nothing happens.
#pragma once

#include <string>

namespace scxhost {

class ServiceNotifier {
public:
    // The kernel has confirmed the first scheduler.
    void ready();
    // The configuration is read again. Each call has a new time stamp, which is how a manager that asked for a reload
    // knows that this one is its own. Nothing before ready().
    void reloading();
    // What was read runs, or is known not to. Nothing without reloading().
    void reloaded();
    [[nodiscard]] bool is_reloading() const { return reloading_; }
    // Told when it differs from what was told last.
    void status(const std::string& text);
    void stopping();

private:
    bool ready_ = false;
    bool reloading_ = false;
    std::string status_;
};

} // namespace scxhost
