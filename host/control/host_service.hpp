// SPDX-License-Identifier: GPL-2.0-only
//
// The host's methods behind the control socket: status, stats, swap, stop, resume, check; and who may call them.
// docs/control.md is their reference.
#pragma once

#include "host/config/selection.hpp"
#include "host/control/delegation.hpp"
#include "host/control/server.hpp"
#include "host/programs/program_rights.hpp"
#include "host/supervisor/supervisor.hpp"

#include <utility>
#include <vector>

namespace scxhost {

class HostService : public ControlService {
public:
    // `supervisor` must outlive the service, and complete no request or check after its end.
    // `delegation` says who else than those who may everything may something.
    explicit HostService(Supervisor& supervisor, Delegation delegation = {})
        : supervisor_(supervisor)
        , delegation_(std::move(delegation)) {}

    [[nodiscard]] bool knows(const std::string& method) const override;
    [[nodiscard]] static bool changes(const std::string& method);
    void call(const std::string& method, const nlohmann::json& params, const Peer& caller, Reply reply) override;
    [[nodiscard]] bool shows(const nlohmann::json& event, const Peer& caller) const override;
    void gone(std::uint64_t connection) override;

private:
    void status(const nlohmann::json& params, const Peer& caller, const Reply& reply);
    void stats(const nlohmann::json& params, const Peer& caller, const Reply& reply);
    void metrics(const nlohmann::json& params, const Peer& caller, const Reply& reply);
    void swap(const nlohmann::json& params, const Peer& caller, const Reply& reply);
    void stop(const nlohmann::json& params, const Peer& caller, const Reply& reply);
    void resume(const nlohmann::json& params, const Peer& caller, const Reply& reply);
    void check(const nlohmann::json& params, const Peer& caller, const Reply& reply);
    void borrow(const nlohmann::json& params, const Peer& caller, const Reply& reply);
    void give_back(const nlohmann::json& params, const Peer& caller, const Reply& reply);

    [[nodiscard]] bool is_delegate(const Peer& caller) const;
    [[nodiscard]] bool sees_his_own_only(const Peer& caller) const;
    // kPermission, kBusy. Counts what a delegate changes.
    [[nodiscard]] Result<> admit(const std::string& method, const nlohmann::json& params, const Peer& caller);
    // Of the branches, those that the caller sees.
    [[nodiscard]] std::vector<SeatStatus> branches_for(const Peer& caller) const;
    [[nodiscard]] nlohmann::json machine_for(const Peer& caller) const;
    [[nodiscard]] nlohmann::json metrics_of(const std::string& seat, const SchedExtEvents& events);
    // Somebody who has not borrowed the machine decides what runs: then that stays.
    void end_loan_of_others(const Peer& caller);
    void order(const nlohmann::json& params, const Peer& caller, const Reply& reply,
               Result<> (Supervisor::*what)(const std::string&));
    [[nodiscard]] ConfigReader::Read reading(const std::string& seat, const Selection& selection,
                                             const Peer& caller) const;

    struct Method {
        std::string_view name;
        bool changes;
        std::string_view params; // words
        void (HostService::*run)(const nlohmann::json&, const Peer&, const Reply&);
    };
    static const Method* find(std::string_view name);
    static bool takes(const Method& method, std::string_view parameter);

    struct Loan {
        std::uint64_t connection = 0;
        Supervisor::Remembered before;
    };

    Supervisor& supervisor_;
    const Delegation delegation_;
    DelegateLimits limits_;
    const Result<> program_rights_ = check_program_rights(); // a host's do not change while it runs
    bool checking_ = false;
    std::optional<Loan> loan_;
};

} // namespace scxhost
