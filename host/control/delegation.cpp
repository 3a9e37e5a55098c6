// SPDX-License-Identifier: GPL-2.0-only
#include "host/control/delegation.hpp"

#include "host/base/suggest.hpp"
#include "host/base/units.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>

namespace scxhost {
namespace {

using nlohmann::json;

constexpr std::size_t kEntryBytes = 64U << 10U; // of the user database

// A name goes before a number, as everywhere.
Result<uid_t> find_user(const Config::Delegate& delegate) {
    std::string buffer(kEntryBytes, '\0');
    passwd entry{};
    passwd* found = nullptr;
    const int error = ::getpwnam_r(delegate.user.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr)
        return entry.pw_uid;
    // The last number is the kernel's "nobody at all".
    if (const Result<std::int64_t> number =
            parse_integer(delegate.user, 0, std::int64_t{std::numeric_limits<uid_t>::max()} - 1))
        return static_cast<uid_t>(*number);
    Error failure =
        error == 0 || error == ENOENT || error == ESRCH
            ? Error{.kind = ErrorKind::kConfig,
                    .what = fmt::format("[[delegate]]: there is no user {}", quote_text(delegate.user)),
                    .hint = "`getent passwd` lists the users of this machine"}
            : fail_errno(ErrorKind::kIo,
                         fmt::format("[[delegate]]: cannot look up the user {}", quote_text(delegate.user)), error)
                  .error();
    failure.where = delegate.user_where;
    return fail(std::move(failure));
}

// What a client may send without meaning anything by it.
bool says_nothing(const json& value) {
    return value.is_null() || value == false || (value.is_structured() && value.empty());
}

// The branch that the call is about; nullptr: none that there is.
const Config::Branch* branch_of(const DelegatedCall& call) {
    const auto at = call.params.find("at");
    if (at == call.params.end() || !at->is_string())
        return nullptr;
    const auto found = std::ranges::find(call.branches, at->get_ref<const std::string&>(), &Config::Branch::name);
    return found == call.branches.end() ? nullptr : &*found;
}

// What is shown of it is filtered, where it is answered.
constexpr std::array<std::string_view, 2> kLooks = {"status", "metrics"};
constexpr std::array<std::string_view, 4> kAtABranch = {"swap", "stop", "resume", "stats"};
constexpr std::array<std::string_view, 4> kOfSwap = {"at", "what", "set", "wait"};

} // namespace

Result<Delegation> Delegation::make(const Config& config) {
    std::vector<DelegationRule> rules;
    for (const Config::Delegate& delegate : config.delegates)
        rules.push_back({.uid = SCXHOST_TRY(find_user(delegate)),
                         .user = delegate.user,
                         .cgroup = delegate.cgroup,
                         .plugins = delegate.plugins});
    return Delegation(std::move(rules));
}

bool Delegation::names(uid_t uid) const {
    return std::ranges::find(rules_, uid, &DelegationRule::uid) != rules_.end();
}

std::vector<uid_t> Delegation::users() const {
    std::vector<uid_t> users;
    for (const DelegationRule& rule : rules_)
        if (std::ranges::find(users, rule.uid) == users.end())
            users.push_back(rule.uid);
    return users;
}

bool Delegation::covers(uid_t uid, std::string_view cgroup) const {
    return std::ranges::any_of(
        rules_, [&](const DelegationRule& rule) { return rule.uid == uid && is_at_or_below(cgroup, rule.cgroup); });
}

const std::string& Delegation::name_of(uid_t uid) const {
    return std::ranges::find(rules_, uid, &DelegationRule::uid)->user;
}

std::vector<std::string> Delegation::plugins_at(uid_t uid, std::string_view cgroup) const {
    std::vector<std::string> plugins;
    for (const DelegationRule& rule : rules_)
        if (rule.uid == uid && is_at_or_below(cgroup, rule.cgroup))
            for (const std::string& plugin : rule.plugins)
                if (std::ranges::find(plugins, plugin) == plugins.end())
                    plugins.push_back(plugin);
    return plugins;
}

// All that he may change.
std::string Delegation::describe(const DelegatedCall& call) const {
    std::string text;
    for (const Config::Branch& branch : call.branches) {
        if (!covers(call.uid, branch.cgroup))
            continue;
        const std::vector<std::string> plugins = plugins_at(call.uid, branch.cgroup);
        text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", branch.name,
                            plugins.empty() ? "no plugins" : fmt::format("plugins: {}", list_words(plugins, "and")));
    }
    return text.empty() ? "the host has no branch now of those that [[delegate]] names for this user"
                        : "stop, resume, and swap without force and files are this user's at: " + text;
}

Result<> Delegation::check(const DelegatedCall& call) const {
    const auto is_one_of = [&call](const auto& names) {
        return std::ranges::find(names, std::string_view(call.method)) != names.end();
    };
    if (is_one_of(kLooks))
        return {};
    const auto refuse = [&](std::string_view what) {
        return fail(ErrorKind::kPermission, fmt::format("user {} may not {}", name_of(call.uid), what), describe(call));
    };
    if (!is_one_of(kAtABranch))
        return refuse(call.method);
    const Config::Branch* branch = branch_of(call);
    if (branch == nullptr || !covers(call.uid, branch->cgroup)) {
        const auto at = call.params.find("at");
        if (at == call.params.end() || at->is_null())
            return refuse(call.method + " without naming a branch");
        return refuse(
            fmt::format("{} at {}", call.method, at->is_string() ? quote_text(at->get<std::string>()) : "that"));
    }
    return call.method == "swap" ? check_swap(call, *branch) : Result<>();
}

Result<> Delegation::check_swap(const DelegatedCall& call, const Config::Branch& branch) const {
    for (const auto& [name, value] : call.params.items())
        if (std::ranges::find(kOfSwap, name) == kOfSwap.end() && !says_nothing(value))
            return fail(ErrorKind::kPermission,
                        fmt::format("user {} may not say {} in a swap", name_of(call.uid), quote_text(name)),
                        describe(call));
    const auto what = call.params.find("what");
    if (what == call.params.end() || what->is_null())
        return {};
    const std::vector<std::string> plugins = plugins_at(call.uid, branch.cgroup);
    if (what->is_string() && std::ranges::find(plugins, what->get_ref<const std::string&>()) != plugins.end())
        return {};
    return fail(ErrorKind::kPermission,
                fmt::format("user {} may not choose {} at {}", name_of(call.uid),
                            what->is_string() ? quote_text(what->get<std::string>()) : "that", branch.name),
                describe(call));
}

Result<> check_delegated_choice(const Config& chosen, const Config& base, const std::string& plugin) {
    Config allowed = base.without_scheduler();
    allowed.scheduler.plugin = plugin;
    allowed.scheduler.options = chosen.scheduler.options;
    allowed.name.clear(); // no file's
    if (chosen == allowed)
        return {};
    return fail(ErrorKind::kPermission, "what is set is more than options of the plugin",
                fmt::format("to a delegate belong what `scxhost options {}` lists, as in --set KEY=VALUE", plugin));
}

Result<> DelegateLimits::take(uid_t uid, Clock::time_point now) {
    constexpr double kPerSecond = 1.0 / static_cast<double>(kTimePerChange.count());
    TokenBucket& bucket = buckets_.try_emplace(uid, kChangesAtOnce, kPerSecond, now).first->second;
    if (bucket.take(now))
        return {};
    return fail(ErrorKind::kBusy,
                fmt::format("that is too much at a time: a delegate may change something {} times at once, and then "
                            "every {} s",
                            kChangesAtOnce, kTimePerChange.count()),
                fmt::format("ask again in {} s", std::chrono::ceil<std::chrono::seconds>(bucket.wait()).count()));
}

} // namespace scxhost
