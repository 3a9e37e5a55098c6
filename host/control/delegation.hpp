// SPDX-License-Identifier: GPL-2.0-only
//
// Who may choose the schedulers of branches without being root or in control.group: the rules of [[delegate]], and what
// they allow. The kernel asks nobody who owns a cgroup, so the host does. Nothing here acts, and the time is told.
//
// What is allowed is listed, and all else is refused: a method or parameter that comes later is not a delegate's until
// it is named here. Of the configuration that his request makes nothing may differ from the branch's own but the plugin
// and its options.
#pragma once

#include "host/base/result.hpp"
#include "host/base/token_bucket.hpp"
#include "host/config/config.hpp"

#include <nlohmann/json_fwd.hpp>
#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// A rule whose user was found.
struct DelegationRule {
    uid_t uid = 0;
    std::string user; // what the configuration calls him
    std::string cgroup;
    std::vector<std::string> plugins;
};

// What somebody calls, and the branches that there are.
struct DelegatedCall {
    uid_t uid = 0;
    const std::string& method;
    const nlohmann::json& params; // an object
    const std::vector<Config::Branch>& branches;
};

class Delegation {
public:
    Delegation() = default; // nobody may anything
    explicit Delegation(std::vector<DelegationRule> rules)
        : rules_(std::move(rules)) {}
    // Finds the users. Asks the user database, which may wait. kConfig: there is no such user.
    static Result<Delegation> make(const Config& config);

    [[nodiscard]] bool names(uid_t uid) const;
    [[nodiscard]] std::vector<uid_t> users() const;
    // Whether he may choose at the branch of this cgroup.
    [[nodiscard]] bool covers(uid_t uid, std::string_view cgroup) const;
    // Whether the call is his to make. kPermission, with what he may as the hint.
    [[nodiscard]] Result<> check(const DelegatedCall& call) const;

private:
    [[nodiscard]] const std::string& name_of(uid_t uid) const;
    [[nodiscard]] std::vector<std::string> plugins_at(uid_t uid, std::string_view cgroup) const;
    [[nodiscard]] std::string describe(const DelegatedCall& call) const;
    [[nodiscard]] Result<> check_swap(const DelegatedCall& call, const Config::Branch& branch) const;

    std::vector<DelegationRule> rules_;
};

// Whether a delegate's request for `plugin` differs from `base`, what the branch has by itself, in nothing but this
// plugin and its options. `chosen` is what his request makes of `base`, after everything was parsed. kPermission.
[[nodiscard]] Result<> check_delegated_choice(const Config& chosen, const Config& base, const std::string& plugin);

// How often each delegate may change something: a swap costs the whole machine a little.
class DelegateLimits {
public:
    using Clock = TokenBucket::Clock;

    static constexpr int kChangesAtOnce = 5;
    static constexpr std::chrono::seconds kTimePerChange{10};

    // kBusy: not now; the hint says when.
    [[nodiscard]] Result<> take(uid_t uid, Clock::time_point now);

private:
    std::map<uid_t, TokenBucket> buckets_; // of users that rules name
};

} // namespace scxhost
