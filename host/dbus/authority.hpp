// SPDX-License-Identifier: GPL-2.0-only
//
// Who may: root always, and others as polkit says, which may ask them for a password meanwhile. Where there is no
// polkit, root only.
#pragma once

#include "host/dbus/bus.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace scxhost {

class Authority {
public:
    // The actions of share/polkit-1/actions/org.scxhost.policy.
    static constexpr const char* kSwitch = "org.scxhost.switch"; // to what the configuration offers; stop, restart
    static constexpr const char* kConfigure = "org.scxhost.configure"; // with arguments of the caller's own
    // Questions that wait for their answers at a time; for each, somebody may sit before a dialog.
    static constexpr std::size_t kMaxQuestions = 32;

    // `bus` must outlive it.
    explicit Authority(Bus& bus)
        : bus_(bus)
        , questions_(std::make_shared<std::size_t>(0)) {}

    // Calls `answer` once, at once or when polkit has answered. Errors: kPermission; kBusy: too many questions; kIo.
    // `call` is what somebody has sent us over the bus.
    using Answer = std::function<void(Result<>)>;
    void ask(sd_bus_message* call, const char* action, Answer answer);

private:
    void ask_polkit(const std::string& sender, const char* action, Answer answer);

    Bus& bus_;
    std::shared_ptr<std::size_t> questions_;
};

} // namespace scxhost
