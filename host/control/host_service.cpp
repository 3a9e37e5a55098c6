// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/host_service.hpp"

#include "host/base/error_json.hpp"
#include "host/base/file_trust.hpp"
#include "host/base/json_fields.hpp"
#include "host/base/suggest.hpp"
#include "host/config/selection.hpp"
#include "host/control/private_parts.hpp"
#include "host/control/protocol.hpp"
#include "host/control/status_json.hpp"
#include "host/kernel/cgroup.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

namespace scxhost {
namespace {

using nlohmann::json;

Error wrong_parameter(std::string_view key, std::string_view expected) {
    return {.kind = ErrorKind::kUsage, .what = fmt::format("{}: expected {}", key, expected)};
}

Result<bool> flag(const json& params, const char* key, bool fallback) {
    const auto found = params.find(key);
    if (found == params.end() || found->is_null())
        return fallback;
    if (!found->is_boolean())
        return fail(wrong_parameter(key, "true or false"));
    return found->get<bool>();
}

// For what a swap's caller waits.
enum class Wait { kNo, kConfirmed, kOutcome };

Result<Wait> wait_of(const json& params) {
    const auto found = params.find("wait");
    if (found == params.end() || found->is_null())
        return Wait::kOutcome;
    if (*found == "confirmed")
        return Wait::kConfirmed;
    if (!found->is_boolean())
        return fail(wrong_parameter("wait", "true, false or \"confirmed\""));
    return found->get<bool>() ? Wait::kOutcome : Wait::kNo;
}

// A zero byte would end a path early for the kernel, but not for the checks before it.
bool is_text(const json& value) {
    return value.is_string() && value.get_ref<const std::string&>().find('\0') == std::string::npos;
}

Result<std::vector<std::string>> strings(const json& params, const char* key) {
    std::vector<std::string> result;
    const auto found = params.find(key);
    if (found == params.end() || found->is_null())
        return result;
    if (!found->is_array() || !std::ranges::all_of(*found, is_text))
        return fail(wrong_parameter(key, "a list of strings"));
    for (const json& entry : *found)
        result.push_back(entry.get<std::string>());
    return result;
}

// Where the host listens and writes is its configuration's to say: a member of control.group may choose what runs, but
// not which folders root writes to.
bool is_hosts_own(std::string_view assignment) {
    return assignment.starts_with("control.") || assignment.starts_with("incidents.");
}

// nullopt: nothing is named, so the configuration is meant.
Result<std::optional<Selection>> selection_of(const json& params) {
    Selection selection;
    selection.assignments = SCXHOST_TRY(strings(params, "set"));
    if (const auto own = std::ranges::find_if(selection.assignments, is_hosts_own); own != selection.assignments.end())
        return fail(ErrorKind::kUsage, fmt::format("{} cannot be set through the control socket", quote_text(*own)),
                    "set it in the configuration file");
    selection.plugin_dirs = SCXHOST_TRY(strings(params, "plugin_dirs"));
    selection.args = SCXHOST_TRY(strings(params, "args"));
    const auto what = params.find("what");
    if (const auto program = params.find("program"); program != params.end() && !program->is_null()) {
        if (!is_text(*program) || !program->get_ref<const std::string&>().starts_with('/'))
            return fail(wrong_parameter("program", "an absolute path"));
        for (const char* other : {"what", "object"})
            if (params.contains(other) && !params.at(other).is_null())
                return fail(wrong_parameter("program", fmt::format("no parameter {} beside it", other)));
        selection.program = program->get<std::string>();
        return selection;
    }
    if (!selection.args.empty())
        return fail(wrong_parameter("args", "a program that they are for"));
    if (const auto object = params.find("object"); object != params.end() && !object->is_null()) {
        if (!is_text(*object) || !object->get_ref<const std::string&>().starts_with('/'))
            return fail(wrong_parameter("object", "an absolute path"));
        if (what != params.end() && !what->is_null())
            return fail(wrong_parameter("object", "no parameter what beside it"));
        selection.object = object->get<std::string>();
    } else if (what == params.end() || what->is_null()) {
        if (!selection.assignments.empty() || !selection.plugin_dirs.empty())
            return fail(wrong_parameter("what", "a scheduler that set and plugin_dirs are for"));
        return std::nullopt;
    } else if (!is_text(*what) || what->get_ref<const std::string&>().empty()) {
        return fail(wrong_parameter("what", "a plugin's name or an absolute path"));
    } else {
        selection.what = what->get<std::string>();
    }
    // A path is relative to the caller's folder, which is not the host's.
    if (selection.what.find_first_of("/.") != std::string::npos && !selection.what.starts_with('/'))
        return fail(wrong_parameter("what", "an absolute path"));
    if (!std::ranges::all_of(selection.plugin_dirs, [](const std::string& dir) { return dir.starts_with('/'); }))
        return fail(wrong_parameter("plugin_dirs", "absolute paths"));
    return selection;
}

// Of what is not there, what reads it has more to say.
Result<> check_open_to_all(const std::vector<std::filesystem::path>& paths) {
    for (const std::filesystem::path& path : paths)
        if (Result<> open = check_readable_by_all(path); !open && open.error().kind == ErrorKind::kPermission) {
            open.error().hint = "through the control socket only root may name it; or make it readable for everybody";
            return open;
        }
    return {};
}

// For a branch, a file gives its scheduler alone.
Result<Config> select(const Selection& selection, const Config& base) {
    return base.branch.cgroup.empty() ? select_config(selection, base) : select_scheduler(selection, base);
}

// What the host says about a file tells of its content: the wrong line of a configuration, the options of an object,
// the plugins in a folder. The host may read what its callers may not, so these get only what everybody may read.
Result<Config> config_of(const Selection& selection, const Peer& caller, const Config& base) {
    if (caller.uid == 0 || caller.uid == ::geteuid())
        return select(selection, base);
    // A program is run as root, with any argument: what a member of control.group may choose is a configuration that
    // root has written.
    const auto chooses_program = [](std::string_view assignment) {
        return assignment.starts_with("scheduler.program") || assignment.starts_with("scheduler.args") ||
               assignment.starts_with("scheduler.env") || assignment.starts_with("program.") ||
               assignment.starts_with("below."); // each of these, for a branch
    };
    const auto only_root = [] {
        return fail(ErrorKind::kPermission,
                    "only root may name a program through the control socket, or change how one is "
                    "started",
                    "name a configuration file that says so");
    };
    if (!selection.program.empty() || std::ranges::any_of(selection.assignments, chooses_program))
        return only_root();
    std::vector<std::filesystem::path> named(selection.plugin_dirs.begin(), selection.plugin_dirs.end());
    if (selection.what.starts_with('/'))
        named.emplace_back(selection.what);
    SCXHOST_TRY(check_open_to_all(named)); // before it is read
    Config config = SCXHOST_TRY(select(selection, base));
    // As it is after parsing: "\u002f" is a slash too.
    const auto sets_fallback = [](std::string_view assignment) { return assignment.starts_with("host.fallback"); };
    if (std::ranges::any_of(selection.assignments, sets_fallback) &&
        std::ranges::any_of(config.host.fallback, [](const std::string& one) { return one.find('/') != one.npos; }))
        return only_root();
    named.clear();
    if (!config.scheduler.program.empty())
        named.push_back(config.scheduler.program);
    if (!config.scheduler.object.empty())
        named.push_back(config.scheduler.object);
    for (const std::filesystem::path& folder : config.host.plugin_dirs)
        if (std::ranges::find(base.host.plugin_dirs, folder) == base.host.plugin_dirs.end())
            named.push_back(folder);
    for (const Config& branch : config.below) {
        if (!branch.scheduler.program.empty())
            named.push_back(branch.scheduler.program);
        if (!branch.scheduler.object.empty())
            named.push_back(branch.scheduler.object);
    }
    SCXHOST_TRY(check_open_to_all(named));
    return config;
}

// Of a delegate: he names no file, and the plugins that he may name are the host's.
Result<Config> delegated_config(const Selection& selection, const Config& base) {
    Config config = SCXHOST_TRY(select(selection, base));
    SCXHOST_TRY(check_delegated_choice(config, base, selection.what));
    return config;
}

// The machine's scheduler for those who have no say in it: that it is there, and how it does. Its options, paths and
// failures are nobody else's business.
json without_details(json status) {
    if (json& scheduler = status.at("scheduler"); !scheduler.is_null())
        scheduler.update({{"options", json::object()}, {"config", nullptr}, {"object", nullptr}, {"process", nullptr}});
    for (const char* list : {"fallback", "quarantine"})
        status.at(list) = json::array();
    for (const char* detail : {"kept", "last_good", "preparing", "last_swap", "stood_down"})
        status.at(detail) = nullptr;
    return status;
}

// Answers of those who may not everything.
Reply without_private(Reply reply) {
    return [reply = std::move(reply)](Result<json> answer) {
        if (answer)
            drop_private(*answer);
        else
            answer.error().detail.clear();
        reply(std::move(answer));
    };
}

// The seat that a call is about; empty: the machine's.
Result<std::string> seat_of(const json& params) {
    const auto found = params.find("at");
    if (found == params.end() || found->is_null())
        return std::string();
    if (!is_text(*found))
        return fail(wrong_parameter("at", "a branch's name"));
    return found->get<std::string>();
}

} // namespace

const HostService::Method* HostService::find(std::string_view name) {
    static constexpr std::string_view kNone;
    static constexpr std::string_view kSelection = "what object program args set plugin_dirs";
    static constexpr std::array<Method, 9> kMethods = {{
        {"status", false, kNone, &HostService::status},
        {"stats", false, "at", &HostService::stats},
        {"metrics", false, kNone, &HostService::metrics},
        {"check", true, kSelection, &HostService::check}, // loads into the kernel
        {"swap", true, "what object program args set plugin_dirs again wait force at", &HostService::swap},
        {"stop", true, "at", &HostService::stop},
        {"resume", true, "at", &HostService::resume},
        {"borrow", true, kNone, &HostService::borrow},
        {"return", true, kNone, &HostService::give_back},
    }};
    const auto* found = std::ranges::find(kMethods, name, &Method::name);
    return found == kMethods.end() ? nullptr : found;
}

bool HostService::takes(const Method& method, std::string_view parameter) {
    return std::ranges::any_of(method.params | std::views::split(' '), [parameter](const auto& word) {
        return std::string_view(word.begin(), word.end()) == parameter;
    });
}

bool HostService::knows(const std::string& method) const {
    return find(method) != nullptr;
}

bool HostService::changes(const std::string& method) {
    const Method* found = find(method);
    return found == nullptr || found->changes;
}

void HostService::call(const std::string& method, const json& params, const Peer& caller, Reply reply) {
    const Method& found = *find(method);
    if (const Result<> admitted = admit(method, params, caller); !admitted)
        return reply(fail(admitted.error()));
    // A parameter of a later version may turn the call into another one: passing it over could do harm.
    for (const auto& [name, value] : params.items())
        if (!takes(found, name))
            return reply(fail(ErrorKind::kUsage, fmt::format("{} has no parameter {}", method, quote_text(name)),
                              found.params.empty() ? "it has none" : fmt::format("it has: {}", found.params)));
    (this->*found.run)(params, caller, caller.may_change ? std::move(reply) : without_private(std::move(reply)));
}

bool HostService::is_delegate(const Peer& caller) const {
    return !caller.may_change && delegation_.names(caller.uid);
}

// A reader sees every seat, whatever he may choose as a delegate.
bool HostService::sees_his_own_only(const Peer& caller) const {
    return is_delegate(caller) && !caller.is_reader;
}

Result<> HostService::admit(const std::string& method, const json& params, const Peer& caller) {
    if (is_delegate(caller) && (changes(method) || !caller.is_reader)) {
        const std::vector<Config::Branch> branches = supervisor_.places();
        SCXHOST_TRY(delegation_.check({.uid = caller.uid, .method = method, .params = params, .branches = branches}));
        return changes(method) ? limits_.take(caller.uid, DelegateLimits::Clock::now()) : Result<>();
    }
    if (changes(method) && !caller.may_change)
        return fail(ErrorKind::kPermission, fmt::format("user {} may look, but not {}", caller.uid, method),
                    "be root, or in the group of control.group; [[delegate]] of the host's configuration leaves single "
                    "branches to others");
    return {};
}

bool HostService::shows(const json& event, const Peer& caller) const {
    if (!caller.may_change && is_private(event))
        return false;
    if (!sees_his_own_only(caller))
        return true;
    const std::string seat = json_text(event, "seat");
    return std::ranges::any_of(supervisor_.places(), [&](const Config::Branch& branch) {
        return branch.name == seat && delegation_.covers(caller.uid, branch.cgroup);
    });
}

std::vector<SeatStatus> HostService::branches_for(const Peer& caller) const {
    std::vector<SeatStatus> branches = supervisor_.branches();
    if (sees_his_own_only(caller))
        std::erase_if(branches,
                      [&](const SeatStatus& branch) { return !delegation_.covers(caller.uid, branch.cgroup); });
    return branches;
}

json HostService::machine_for(const Peer& caller) const {
    json status = status_json(supervisor_.status());
    return sees_his_own_only(caller) ? without_details(std::move(status)) : status;
}

void HostService::status(const json&, const Peer& caller, const Reply& reply) {
    json answer = machine_for(caller);
    answer["borrowed"] = loan_.has_value();
    answer["below"] = json::array();
    for (const SeatStatus& branch : branches_for(caller))
        answer["below"].push_back(branch_json(branch));
    answer["programs"] = {{"error", program_rights_ ? json(nullptr) : to_json(program_rights_.error())}};
    reply(std::move(answer));
}

void HostService::stats(const json& params, const Peer&, const Reply& reply) {
    const Result<std::string> seat = seat_of(params);
    if (!seat)
        return reply(fail(seat.error()));
    const Result<StatisticsReport> statistics = supervisor_.statistics(*seat);
    reply(statistics ? Result<json>(statistics_json(*statistics)) : fail(statistics.error()));
}

json HostService::metrics_of(const std::string& seat, const SchedExtEvents& events) {
    json answer = totals_json(supervisor_.totals(seat));
    const Result<StatisticsReport> statistics = supervisor_.statistics(seat);
    answer["stats"] = statistics ? statistics_json(*statistics) : json(nullptr);
    answer["kernel_events"] = events.empty() ? json(nullptr) : json(events);
    return answer;
}

void HostService::metrics(const json&, const Peer& caller, const Reply& reply) {
    const SchedExtSysfs sysfs;
    json answer = metrics_of({}, sysfs.events());
    answer["uptime_seconds"] = seconds(supervisor_.uptime());
    answer["status"] = machine_for(caller);
    if (sees_his_own_only(caller))
        answer["stats"] = nullptr;
    answer["below"] = json::array();
    for (const SeatStatus& branch : branches_for(caller)) {
        const Result<std::uint64_t> cgroup = find_cgroup(branch.cgroup);
        json of_branch = metrics_of(branch.seat, cgroup ? sysfs.events(*cgroup) : SchedExtEvents());
        of_branch["status"] = branch_json(branch);
        answer["below"].push_back(std::move(of_branch));
    }
    reply(std::move(answer));
}

void HostService::swap(const json& params, const Peer& caller, // NOLINT(bugprone-exception-escape): not std::swap's
                       const Reply& reply) {
    const auto ask = [&]() -> Result<> {
        const Wait wait = SCXHOST_TRY(wait_of(params));
        const bool force = SCXHOST_TRY(flag(params, "force", false));
        const std::string seat = SCXHOST_TRY(seat_of(params));
        SCXHOST_TRY(supervisor_.check_seat(seat));
        const std::optional<Selection> selection = SCXHOST_TRY(selection_of(params));
        const bool again = SCXHOST_TRY(flag(params, "again", false));
        if (again && selection)
            return fail(wrong_parameter("again", "no parameter what, object or program beside it"));
        Supervisor::OutcomeCallback done;
        if (wait != Wait::kNo)
            done = [reply, wait, answered = std::make_shared<bool>(false)](const SwapReport& report) {
                if ((report.outcome || wait == Wait::kConfirmed) && !std::exchange(*answered, true))
                    reply(to_json(report));
            };
        const auto asked = [this, seat, reply, wait, caller](const Result<>& result) {
            if (!result)
                return reply(fail(result.error()));
            end_loan_of_others(caller);
            if (wait == Wait::kNo)
                reply(json{{"outcome", "accepted"}, {"phase", to_string(supervisor_.phase(seat))}});
        };
        if (again)
            supervisor_.restart(seat, asked, std::move(done));
        else if (selection)
            supervisor_.request(seat, reading(seat, *selection, caller), force, asked, std::move(done));
        else
            supervisor_.reload(seat, force, asked, std::move(done));
        return {};
    };
    if (const Result<> asked = ask(); !asked)
        reply(fail(asked.error()));
}

ConfigReader::Read HostService::reading(const std::string& seat, const Selection& selection, const Peer& caller) const {
    const Config& base = supervisor_.base_config(seat);
    if (is_delegate(caller))
        return [selection, base] { return delegated_config(selection, base); };
    return [selection, caller, base] { return config_of(selection, caller, base); };
}

void HostService::stop(const json& params, const Peer& caller, const Reply& reply) {
    order(params, caller, reply, &Supervisor::stop);
}

void HostService::resume(const json& params, const Peer& caller, const Reply& reply) {
    order(params, caller, reply, &Supervisor::resume);
}

void HostService::order(const json& params, const Peer& caller, const Reply& reply,
                        Result<> (Supervisor::*what)(const std::string&)) {
    const Result<std::string> seat = seat_of(params);
    if (!seat)
        return reply(fail(seat.error()));
    const Result<> done = (supervisor_.*what)(*seat);
    if (done)
        end_loan_of_others(caller);
    reply(done ? Result<json>(json{{"phase", to_string(supervisor_.phase(*seat))}}) : fail(done.error()));
}

void HostService::borrow(const json&, const Peer& caller, const Reply& reply) {
    if (loan_)
        return reply(fail(ErrorKind::kBusy, "somebody has borrowed the machine already, for a comparison",
                          "wait until it is returned; a swap, stop or resume ends the loan"));
    Result<Supervisor::Remembered> before = supervisor_.remember();
    if (!before)
        return reply(fail(std::move(before).error()));
    loan_ = Loan{.connection = caller.connection, .before = *std::move(before)};
    reply(json{{"phase", to_string(supervisor_.phase())}});
}

void HostService::give_back(const json&, const Peer& caller, const Reply& reply) {
    if (!loan_ || loan_->connection != caller.connection)
        return reply(fail(ErrorKind::kBusy, "the machine is not borrowed by this connection, or no longer",
                          "whoever swapped, stopped or resumed meanwhile has ended the loan"));
    const Supervisor::Remembered before = std::exchange(loan_, std::nullopt)->before;
    supervisor_.restore(before, [reply](const SwapReport* report) {
        reply(report != nullptr ? to_json(*report) : json{{"outcome", "stopped"}});
    });
}

void HostService::gone(std::uint64_t connection) {
    if (!loan_ || loan_->connection != connection)
        return;
    const Supervisor::Remembered before = std::exchange(loan_, std::nullopt)->before;
    supervisor_.restore(before, [](const SwapReport*) {});
}

void HostService::end_loan_of_others(const Peer& caller) {
    if (loan_ && loan_->connection != caller.connection)
        loan_.reset();
}

void HostService::check(const json& params, const Peer& caller, const Reply& reply) {
    const auto ask = [&]() -> Result<> {
        const std::optional<Selection> selection = SCXHOST_TRY(selection_of(params));
        if (!selection)
            return fail(wrong_parameter("what", "a plugin's name or an absolute path"));
        // The worker takes one job after the other; a queue of checks would be in the way of a recovery.
        if (checking_)
            return fail(ErrorKind::kBusy, "another check is going on", "ask again when it has its answer");
        checking_ = true;
        supervisor_.check(reading({}, *selection, caller), [this, reply](Result<std::vector<std::string>> notes) {
            checking_ = false;
            reply(notes ? Result<json>(json{{"ok", true}, {"notes", *notes}}) : fail(notes.error()));
        });
        return {};
    };
    if (const Result<> asked = ask(); !asked)
        reply(fail(asked.error()));
}

} // namespace scxhost
