// SPDX-License-Identifier: GPL-2.0-only
//
// Between a message bus and a running host: the interface org.scx.Loader, which desktop tools speak already, and
// org.scxhost.Host1, which has what that one lacks (dbus.md). It is a client of the control socket in a process of its
// own: nothing that comes over the bus reaches the process that schedulers hang on, nor its real-time thread.
#pragma once

#include "host/base/event_loop.hpp"
#include "host/base/result.hpp"
#include "host/config/desktop.hpp"
#include "host/control/host_link.hpp"
#include "host/dbus/authority.hpp"
#include "host/dbus/bus.hpp"
#include "host/dbus/desktop_state.hpp"
#include "host/dbus/power_profiles.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

struct BridgeSettings {
    std::string address;                  // of the bus; empty: the system's
    std::filesystem::path socket;         // of the host; empty: the configuration's
    std::function<Result<Config>()> read; // the configuration, now and when the host says that it has changed
    std::function<void(const Error&)> warn;
};

class Bridge {
public:
    static constexpr const char* kLoader = "org.scx.Loader";
    static constexpr const char* kHost = "org.scxhost.Host1";

    // `loop` must outlive the bridge. Errors: the configuration's; kUsage when it does not enable D-Bus; the bus's.
    static Result<std::unique_ptr<Bridge>> start(EventLoop& loop, BridgeSettings settings);

    // Why the bridge has ended the loop by itself; nullopt: it has not.
    [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

    // The interfaces' functions.
    struct Loader;
    struct Host;

private:
    friend struct Loader;
    friend struct Host;
    using Outcome = std::function<void(Result<nlohmann::json>)>;

    Bridge(EventLoop& loop, BridgeSettings settings);
    Result<> read_config();
    void read_config_again();
    Result<> offer();
    void on_connected();
    void on_lost();
    void on_event(const nlohmann::json& event);
    // Runs what the configuration has for the power profile, once nothing else is being prepared.
    void follow_profile();
    void refresh();
    void show(DesktopState state);

    [[nodiscard]] const DesktopScheduler* find(const std::string& name) const;
    [[nodiscard]] Result<DesktopChoice> choose(const std::string& name, std::uint32_t mode) const;
    // Asks the host to swap at `seat` (empty: the machine's). `outcome` is called once: with a SWAP, as soon as the
    // kernel has confirmed it or it is known that it does not, or with an error.
    void swap(const std::string& seat, const DesktopChoice& choice, bool force, Outcome outcome);
    // The same for a client of org.scx.Loader, for whom all is an error but success.
    void select(DesktopState state, const DesktopChoice& choice, bool force, std::function<void(Result<>)> done);

    EventLoop& loop_;
    BridgeSettings settings_;
    Config config_;
    std::vector<DesktopScheduler> schedulers_;
    DesktopState default_;
    std::string generation_;
    nlohmann::json status_ = nullptr;
    DesktopState state_;
    DesktopRun chosen_;
    bool refreshing_ = false;
    bool stale_ = false;             // what is being asked for has changed meanwhile
    bool swapping_ = false;          // a request has not been confirmed yet
    std::uint64_t enabled_seq_ = 0;  // of the machine's scheduler that was confirmed last
    std::string profile_;            // that nothing was done about yet
    bool only_from_default_ = false; // and it is not to undo what somebody has chosen
    std::optional<Error> failure_;

    std::unique_ptr<HostLink> link_;
    std::unique_ptr<Bus> bus_;
    std::unique_ptr<Authority> authority_;
    std::unique_ptr<PowerProfiles> power_profiles_;
};

} // namespace scxhost
