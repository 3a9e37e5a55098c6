// SPDX-License-Identifier: GPL-2.0-only
#include "host/dbus/bridge.hpp"

#include "host/base/json_fields.hpp"
#include "host/base/suggest.hpp"
#include "host/dbus/interfaces.hpp"

#include <fmt/format.h>
#include <systemd/sd-id128.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

// After these something else may run than before.
constexpr std::array<std::string_view, 9> kChanges = {"enabled", "settled", "left",       "replaced", "stopped",
                                                      "resumed", "waiting", "stood-down", "suspended"};

std::string new_generation() {
    sd_id128_t id{};
    std::array<char, SD_ID128_STRING_MAX> text{};
    if (sd_id128_randomize(&id) < 0)
        return {};
    return sd_id128_to_string(id, text.data());
}

Error not_configured(const std::string& name, const std::vector<DesktopScheduler>& schedulers) {
    std::vector<std::string> names;
    for (const DesktopScheduler& scheduler : schedulers)
        names.push_back(scheduler.name);
    return {.kind = ErrorKind::kUsage,
            .what = fmt::format("there is no scheduler {}", quote_text(name)),
            .hint = names.empty() ? "the host's configuration offers none: [dbus.schedulers.NAME]"
                                  : suggest_word(name, names, "schedulers")};
}

Error not_enabled(const Config& config) {
    return {.kind = ErrorKind::kUsage,
            .what = "the configuration does not let anybody in over D-Bus",
            .hint = "write enabled = true in its section [dbus]",
            .where = config.where("dbus.enabled")};
}

// The error of a SWAP that has not come to run.
Result<> success_of(const nlohmann::json& swap) {
    const std::string outcome = json_text(swap, "outcome");
    if (outcome == "on-probation" || outcome == "good" || outcome == "unchanged")
        return {};
    const nlohmann::json& error = json_member(swap, "error");
    const std::string running = json_text(swap, "running");
    return fail(ErrorKind::kAttach,
                error.is_object() ? json_text(error, "message") : fmt::format("the request was {}", outcome),
                running.empty() ? "the kernel's own scheduler runs" : fmt::format("{} runs", running));
}

} // namespace

Result<std::unique_ptr<Bridge>> Bridge::start(EventLoop& loop, BridgeSettings settings) {
    std::unique_ptr<Bridge> bridge(new Bridge(loop, std::move(settings)));
    SCXHOST_TRY(bridge->read_config());
    if (!bridge->config_.dbus.enabled)
        return fail(not_enabled(bridge->config_));
    bridge->generation_ = new_generation();
    bridge->bus_ = SCXHOST_TRY(Bus::open(loop, bridge->settings_.address));
    bridge->authority_ = std::make_unique<Authority>(*bridge->bus_);
    SCXHOST_TRY(bridge->offer());
    bridge->link_->start();
    bridge->power_profiles_ =
        std::make_unique<PowerProfiles>(*bridge->bus_, [raw = bridge.get()](const std::string& profile) {
            raw->only_from_default_ = raw->power_profiles_->is_first();
            raw->profile_ = profile;
            raw->follow_profile();
        });
    SCXHOST_TRY(bridge->power_profiles_->start());
    // Whoever calls finds everything there.
    SCXHOST_TRY(bridge->bus_->own(kLoader));
    SCXHOST_TRY(bridge->bus_->own(kHost));
    return bridge;
}

Bridge::Bridge(EventLoop& loop, BridgeSettings settings)
    : loop_(loop)
    , settings_(std::move(settings)) {}

Result<> Bridge::read_config() {
    Config config = SCXHOST_TRY(settings_.read());
    std::vector<DesktopScheduler> schedulers = SCXHOST_TRY(desktop_schedulers(config));
    config_ = std::move(config);
    const auto schedulers_before = std::exchange(schedulers_, std::move(schedulers));
    const DesktopState default_before = default_;
    default_ = {.scheduler = config_.dbus.default_scheduler,
                .mode = static_cast<std::uint32_t>(parse_desktop_mode(":" + config_.dbus.default_mode).mode),
                .args = {}};
    if (default_.scheduler.empty()) {
        // As it would be shown if it ran.
        const Config::Scheduler& own = config_.scheduler;
        const std::filesystem::path& file = own.program.empty() ? own.object : own.program;
        nlohmann::json options = nlohmann::json::object();
        for (const Setting& setting : own.options)
            options[setting.key] = setting.typed.value_or(format_value(setting.value));
        const nlohmann::json running = {{"scheduler",
                                         {{"name", own.plugin.empty() ? file.stem().string() : own.plugin},
                                          {"config", config_.name},
                                          {"options", std::move(options)}}}};
        default_ = desktop_state(running, schedulers_, {});
    }
    if (bus_ && (schedulers_before != schedulers_ || default_before != default_))
        (void)sd_bus_emit_properties_changed(bus_->get(), kLoaderPath, kLoader, "SupportedSchedulers",
                                             "DefaultScheduler", "DefaultMode", nullptr);
    if (link_)
        return {};
    if (settings_.socket.empty())
        settings_.socket = config_.control.socket;
    link_ = std::make_unique<HostLink>(loop_, settings_.socket,
                                       HostLink::Handlers{.connected = [this] { on_connected(); },
                                                          .lost = [this] { on_lost(); },
                                                          .event = [this](const auto& event) { on_event(event); }});
    return {};
}

Result<> Bridge::offer() {
    SCXHOST_TRY(bus_->add(kLoaderPath, kLoader, loader_table(), this));
    return bus_->add(kHostPath, kHost, host_table(), this);
}

void Bridge::read_config_again() {
    const Result<> read = read_config();
    if (!read)
        return settings_.warn(read.error());
    if (config_.dbus.enabled)
        return;
    failure_ = not_enabled(config_);
    loop_.stop();
}

void Bridge::on_connected() {
    generation_ = new_generation();
    (void)sd_bus_emit_properties_changed(bus_->get(), kLoaderPath, kLoader, "DaemonGeneration", nullptr);
    link_->call("subscribe", nlohmann::json::object(), [this](const Result<nlohmann::json>& answer) {
        if (!answer)
            settings_.warn(answer.error());
    });
    read_config_again(); // which a host that is gone cannot tell to have changed
    if (power_profiles_) {
        profile_ = power_profiles_->profile();
        only_from_default_ = true;
    }
    refresh();
}

void Bridge::on_lost() {
    settings_.warn(link_->error());
    status_ = nullptr;
    refreshing_ = false;
    chosen_ = {};
    show({});
}

void Bridge::on_event(const nlohmann::json& event) {
    const std::string name = json_text(event, "event");
    const std::string seat = json_text(event, "seat");
    // Whoever has had the host read its configuration has said so, or has a request that settles.
    if (name == "config-changed" || (name == "settled" && seat == "machine"))
        read_config_again();
    if (name == "enabled" && seat == "machine")
        enabled_seq_ = static_cast<std::uint64_t>(json_integer(event, "enable_seq"));
    if (std::ranges::find(kChanges, name) != kChanges.end())
        refresh();
    if (name == "enabled" || name == "settled")
        follow_profile();
    emit_event(*bus_, name, seat, event);
}

void Bridge::follow_profile() {
    if (profile_.empty() || swapping_ || status_.is_null())
        return;
    const std::string profile = std::exchange(profile_, {});
    if (std::exchange(only_from_default_, false) && state_ != default_)
        return;
    const std::optional<DesktopMode> wanted = mode_for_profile(config_, profile);
    if (!wanted)
        return;
    const auto mode = static_cast<std::uint32_t>(wanted->mode);
    Result<DesktopChoice> choice = choose(wanted->scheduler, mode);
    const auto done = [this, profile](const Result<>& result) {
        if (result)
            return;
        if (result.error().kind == ErrorKind::kBusy && profile_.empty())
            profile_ = profile; // somebody else's request is under way: after its outcome
        else
            settings_.warn({.kind = result.error().kind,
                            .what = fmt::format("for the power profile {}: {}", profile, result.error().what),
                            .hint = result.error().hint});
    };
    if (choice)
        select({.scheduler = wanted->scheduler, .mode = mode, .args = {}}, *choice, false, done);
    else
        done(fail(std::move(choice).error()));
}

void Bridge::refresh() {
    if (refreshing_) {
        stale_ = true;
        return;
    }
    refreshing_ = true;
    stale_ = false;
    link_->call("status", nlohmann::json::object(), [this](Result<nlohmann::json> answer) {
        refreshing_ = false;
        if (!answer)
            return; // the host is gone, which on_lost() is about
        status_ = *std::move(answer);
        show(desktop_state(status_, schedulers_, chosen_));
        if (stale_)
            refresh();
        else
            follow_profile();
    });
}

void Bridge::show(DesktopState state) {
    const DesktopState before = std::exchange(state_, std::move(state));
    std::vector<std::string> names;
    if (before.scheduler != state_.scheduler)
        names.emplace_back("CurrentScheduler");
    if (before.mode != state_.mode)
        names.emplace_back("SchedulerMode");
    if (before.args != state_.args)
        names.emplace_back("CurrentSchedulerArgs");
    std::vector<char*> changed; // ends with a null pointer
    for (std::string& name : names)
        changed.push_back(name.data());
    changed.push_back(nullptr);
    if (!names.empty())
        (void)sd_bus_emit_properties_changed_strv(bus_->get(), kLoaderPath, kLoader, changed.data());
}

const DesktopScheduler* Bridge::find(const std::string& name) const {
    const auto found = std::ranges::find(schedulers_, name, &DesktopScheduler::name);
    return found == schedulers_.end() ? nullptr : &*found;
}

Result<DesktopChoice> Bridge::choose(const std::string& name, std::uint32_t mode) const {
    const DesktopScheduler* scheduler = find(name);
    if (scheduler == nullptr)
        return fail(not_configured(name, schedulers_));
    const auto found = scheduler->modes.find(mode);
    if (found != scheduler->modes.end())
        return found->second;
    std::vector<std::string_view> names;
    for (const auto& [one, choice] : scheduler->modes)
        names.push_back(kDesktopModes.at(one));
    return fail(ErrorKind::kUsage,
                fmt::format("{} has no mode {}", name,
                            mode < kDesktopModes.size() ? std::string(kDesktopModes[mode]) : std::to_string(mode)),
                fmt::format("it has {}", fmt::join(names, ", ")));
}

void Bridge::swap(const std::string& seat, const DesktopChoice& choice, bool force, Outcome outcome) {
    if (swapping_)
        return outcome(fail(ErrorKind::kBusy, "another scheduler is being prepared", "ask again when it runs"));
    nlohmann::json params = {{"force", force}, {"wait", "confirmed"}};
    if (choice.again)
        params["again"] = true;
    else if (!choice.what.empty())
        params.update({{"what", choice.what}, {"set", choice.set}});
    if (!seat.empty())
        params["at"] = seat;
    swapping_ = true;
    link_->call("swap", std::move(params), [this, outcome = std::move(outcome)](Result<nlohmann::json> answer) {
        swapping_ = false;
        const bool is_busy = !answer && answer.error().kind == ErrorKind::kBusy;
        outcome(std::move(answer));
        if (!is_busy) // else what the host is busy with has an outcome of its own
            follow_profile();
    });
}

void Bridge::select(DesktopState state, const DesktopChoice& choice, bool force, std::function<void(Result<>)> done) {
    swap({}, choice, force,
         [this, state = std::move(state), choice, done = std::move(done)](Result<nlohmann::json> answer) {
             const Result<> success = answer ? success_of(*answer) : fail(answer.error());
             if (success) {
                 // The event came before the answer; of what runs already there is none.
                 const bool is_new = json_text(*answer, "outcome") != "unchanged";
                 chosen_ = {
                     .enable_seq = is_new ? enabled_seq_ : running_seq(status_), .state = state, .choice = choice};
                 show(state);
                 refresh();
             }
             done(success);
         });
}

} // namespace scxhost
