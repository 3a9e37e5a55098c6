// SPDX-License-Identifier: GPL-2.0-only
//
// Who may: root always, and others as polkit says, which may ask them for a password meanwhile. Where there is no
// polkit, root only.
#pragma once

#include "host/dbus/bus.hpp"

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace scxhost {

class Authority {
public:
    // The actions of share/polkit-1/actions/org.scxhost.policy.
    static constexpr const char* kSwitch = "org.scxhost.switch"; // to what the configuration offers; stop, restart
    static constexpr const char* kConfigure = "org.scxhost.configure"; // with arguments of the caller's own
    // Questions to polkit that wait for their answers at a time; for each, somebody may sit before a dialog. Those of
    // one user, and of all.
    static constexpr std::size_t kMaxQuestionsOfUser = 4;
    static constexpr std::size_t kMaxQuestions = 32;
    // Questions to the bus, which answers at once.
    static constexpr std::size_t kMaxCallers = 256;

    // `bus` must outlive it.
    explicit Authority(Bus& bus)
        : bus_(bus)
        , questions_(std::make_shared<std::map<uid_t, std::size_t>>())
        , callers_(std::make_shared<std::size_t>(0)) {}

    // Calls `answer` once, at once or when polkit has answered. Errors: kPermission; kBusy: too many questions; kIo.
    // `call` is what somebody has sent us over the bus.
    using Answer = std::function<void(Result<>)>;
    void ask(sd_bus_message* call, const char* action, Answer answer);

private:
    void ask_polkit(const std::string& sender, uid_t uid, const char* action, Answer answer);

    Bus& bus_;
    std::shared_ptr<std::map<uid_t, std::size_t>> questions_;
    std::shared_ptr<std::size_t> callers_;
};

} // namespace scxhost
