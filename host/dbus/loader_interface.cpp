// SPDX-License-Identifier: GPL-2.0-only
//
// org.scx.Loader, as its clients know it. What differs: a method returns when the kernel has confirmed the scheduler,
// and an error when it has not; and what there is to choose from is the configuration's, not a list of this program.
#include "host/config/toml_text.hpp"
#include "host/dbus/bridge.hpp"
#include "host/dbus/interfaces.hpp"
#include "host/dbus/sd_bus_table.hpp"

#include <fmt/format.h>

#include <utility>

namespace scxhost {

struct Bridge::Loader {
    // StartScheduler(s, u), SwitchScheduler(s, u)
    static Result<> switch_to(Bridge& bridge, sd_bus_message* call) {
        const char* name = nullptr;
        std::uint32_t mode = 0;
        SCXHOST_TRY(read_arguments(call, "su", &name, &mode));
        return begin(bridge, call, Authority::kSwitch, [&bridge, name = std::string(name), mode]() -> Result<Request> {
            return Request{.state = {.scheduler = name, .mode = mode, .args = {}},
                           .choice = SCXHOST_TRY(bridge.choose(name, mode))};
        });
    }

    // StartSchedulerWithArgs(s, as), SwitchSchedulerWithArgs(s, as)
    static Result<> switch_with_args(Bridge& bridge, sd_bus_message* call) {
        const char* name = nullptr;
        SCXHOST_TRY(read_arguments(call, "s", &name));
        std::vector<std::string> args = SCXHOST_TRY(read_strings(call));
        return begin(bridge, call, Authority::kConfigure,
                     [&bridge, name = std::string(name), args = std::move(args)]() -> Result<Request> {
                         Request request{.state = {.scheduler = name, .mode = 0, .args = args}, .choice = {}};
                         request.choice = SCXHOST_TRY(bridge.choose(name, 0));
                         for (std::string& assignment : SCXHOST_TRY(assignments(request.choice, args)))
                             request.choice.set.push_back(std::move(assignment));
                         return request;
                     });
    }

    static Result<> stop(Bridge& bridge, sd_bus_message* call) {
        bridge.authority_->ask(call, Authority::kSwitch, [&bridge, kept = share(call)](const Result<>& may) {
            if (!may)
                return answer(kept.get(), may);
            bridge.link_->call("stop", nlohmann::json::object(), [kept](const Result<nlohmann::json>& stopped) {
                answer(kept.get(), stopped ? Result<>() : fail(stopped.error()));
            });
        });
        return {};
    }

    static Result<> restart(Bridge& bridge, sd_bus_message* call) {
        return begin(bridge, call, Authority::kSwitch, [&bridge]() -> Result<Request> {
            Request request{.state = bridge.state_, .choice = {}, .force = true};
            const std::uint64_t seq = running_seq(bridge.status_);
            if (seq == 0)
                return fail(ErrorKind::kUsage, "there is nothing to restart: no scheduler of the host's runs");
            // A configuration that a client chose is read again.
            if (bridge.chosen_.enable_seq == seq)
                request.choice = bridge.chosen_.choice;
            else
                request.choice.again = true;
            return request;
        });
    }

    static Result<> restore_default(Bridge& bridge, sd_bus_message* call) {
        return begin(bridge, call, Authority::kSwitch, [&bridge]() -> Result<Request> {
            Request request{.state = bridge.default_, .choice = {}}; // nothing: the host's own configuration
            if (!bridge.config_.dbus.default_scheduler.empty())
                request.choice = SCXHOST_TRY(bridge.choose(bridge.default_.scheduler, bridge.default_.mode));
            return request;
        });
    }

    static Result<> modes(Bridge& bridge, sd_bus_message* call) {
        const DesktopScheduler& scheduler = *SCXHOST_TRY(named(bridge, call));
        return reply(call, [&](sd_bus_message* out) {
            int code = sd_bus_message_open_container(out, 'a', "u");
            for (const auto& [mode, choice] : scheduler.modes)
                if (code >= 0)
                    code = sd_bus_message_append(out, "u", static_cast<std::uint32_t>(mode));
            return code < 0 ? code : sd_bus_message_close_container(out);
        });
    }

    static Result<> mode_args(Bridge& bridge, sd_bus_message* call) {
        const DesktopScheduler& scheduler = *SCXHOST_TRY(named(bridge, call));
        return reply(call, [&](sd_bus_message* out) {
            int code = sd_bus_message_open_container(out, 'a', "(uas)");
            for (const auto& [mode, choice] : scheduler.modes) {
                if (code >= 0)
                    code = sd_bus_message_open_container(out, 'r', "uas");
                if (code >= 0)
                    code = sd_bus_message_append(out, "u", static_cast<std::uint32_t>(mode));
                if (code >= 0)
                    code = append_strings(out, shown(choice));
                if (code >= 0)
                    code = sd_bus_message_close_container(out);
            }
            return code < 0 ? code : sd_bus_message_close_container(out);
        });
    }

    static int current(const Bridge& bridge, sd_bus_message* out) { return text(out, bridge.state_.scheduler); }
    static int mode(const Bridge& bridge, sd_bus_message* out) {
        return sd_bus_message_append(out, "u", bridge.state_.mode);
    }
    static int args(const Bridge& bridge, sd_bus_message* out) { return append_strings(out, bridge.state_.args); }
    static int supported(const Bridge& bridge, sd_bus_message* out) {
        std::vector<std::string> names;
        for (const DesktopScheduler& scheduler : bridge.schedulers_)
            names.push_back(scheduler.name);
        return append_strings(out, names);
    }
    static int default_scheduler(const Bridge& bridge, sd_bus_message* out) {
        return text(out, bridge.default_.scheduler);
    }
    static int default_mode(const Bridge& bridge, sd_bus_message* out) {
        return sd_bus_message_append(out, "u", bridge.default_.mode);
    }
    static int generation(const Bridge& bridge, sd_bus_message* out) { return text(out, bridge.generation_); }

private:
    static int text(sd_bus_message* out, const std::string& value) {
        return sd_bus_message_append(out, "s", value.c_str());
    }

    static Result<const DesktopScheduler*> named(const Bridge& bridge, sd_bus_message* call) {
        const char* name = nullptr;
        SCXHOST_TRY(read_arguments(call, "s", &name));
        SCXHOST_TRY(bridge.choose(name, 0)); // every scheduler has this one
        return bridge.find(name);
    }

    // As a client would write it: "slice=1ms". A program's arguments are one list.
    static std::vector<std::string> shown(const DesktopChoice& choice) {
        std::vector<std::string> result;
        for (const std::string& assignment : choice.set) {
            const std::size_t equals = assignment.find('=');
            std::string value = assignment.substr(equals + 1);
            if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"'))
                value = value.substr(1, value.size() - 2);
            const std::size_t key = assignment.rfind('.', equals) + 1;
            result.push_back(fmt::format("{}={}", std::string_view(assignment).substr(key, equals - key), value));
        }
        return result;
    }

    // A client's arguments: of a program, its own; of a plugin or object, options.
    static Result<std::vector<std::string>> assignments(const DesktopChoice& choice,
                                                        const std::vector<std::string>& args) {
        const bool is_program =
            choice.what.starts_with('/') && !SCXHOST_TRY(load_config(choice.what)).scheduler.program.empty();
        if (is_program) {
            SettingValue list = std::vector<Setting>();
            for (const std::string& one : args)
                std::get<std::vector<Setting>>(list).push_back({.key = {}, .value = one});
            return std::vector<std::string>{fmt::format("scheduler.args={}", format_value(list))};
        }
        std::vector<std::string> result;
        for (const std::string& one : args) {
            const std::size_t equals = one.find('=');
            if (equals == std::string::npos || !is_key_part(std::string_view(one).substr(0, equals)))
                return fail(ErrorKind::kUsage, fmt::format("the argument {} is no option", format_value(one)),
                            "write KEY=VALUE, such as slice=1ms; 'scxhost options' lists them");
            result.push_back("scheduler.options." + one);
        }
        return result;
    }

    struct Request {
        DesktopState state;
        DesktopChoice choice;
        bool force = false;
    };

    // `make` is asked twice: now, for an error before anybody is asked for a password, and when the caller may, since
    // much can have changed before a dialog.
    static Result<> begin(Bridge& bridge, sd_bus_message* call, const char* action,
                          std::function<Result<Request>()> make) {
        SCXHOST_TRY(make());
        bridge.authority_->ask(call, action,
                               [&bridge, kept = share(call), make = std::move(make)](const Result<>& may) {
                                   if (!may)
                                       return answer(kept.get(), may);
                                   const Result<Request> request = make();
                                   if (!request)
                                       return answer_error(kept.get(), request.error());
                                   bridge.select(request->state, request->choice, request->force,
                                                 [kept](const Result<>& done) { answer(kept.get(), done); });
                               });
        return {};
    }
};

const sd_bus_vtable* loader_table() {
    using L = Bridge::Loader;
    static const sd_bus_vtable table[] = {
        SD_BUS_VTABLE_START(0),
        bus_method<&L::switch_to>("StartScheduler", "su", "", "scx_name\0sched_mode\0"),
        bus_method<&L::switch_with_args>("StartSchedulerWithArgs", "sas", "", "scx_name\0scx_args\0"),
        bus_method<&L::switch_to>("SwitchScheduler", "su", "", "scx_name\0sched_mode\0"),
        bus_method<&L::switch_with_args>("SwitchSchedulerWithArgs", "sas", "", "scx_name\0scx_args\0"),
        bus_method<&L::stop>("StopScheduler", "", "", ""),
        bus_method<&L::restart>("RestartScheduler", "", "", ""),
        bus_method<&L::restore_default>("RestoreDefault", "", "", ""),
        bus_method<&L::modes>("SchedulerModes", "s", "au", "scx_name\0modes\0"),
        bus_method<&L::mode_args>("SchedulerModeArgs", "s", "a(uas)", "scx_name\0mode_args\0"),
        bus_property<&L::current>("CurrentScheduler", "s"),
        bus_property<&L::mode>("SchedulerMode", "u"),
        bus_property<&L::args>("CurrentSchedulerArgs", "as"),
        bus_property<&L::supported>("SupportedSchedulers", "as"),
        bus_property<&L::default_scheduler>("DefaultScheduler", "s"),
        bus_property<&L::default_mode>("DefaultMode", "u"),
        bus_property<&L::generation>("DaemonGeneration", "s"),
        SD_BUS_VTABLE_END,
    };
    return table;
}

} // namespace scxhost
