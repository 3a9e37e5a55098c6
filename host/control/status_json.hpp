// SPDX-License-Identifier: GPL-2.0-only
//
// What the methods of the control socket answer, made of the supervisor's plain data. docs/control.md is the reference.
#pragma once

#include "host/supervisor/reports.hpp"
#include "host/supervisor/seat.hpp"

#include <nlohmann/json_fwd.hpp>

namespace scxhost {

[[nodiscard]] nlohmann::json status_json(const SeatStatus& status);
// The same of a branch, without what is the host's, and with where it is.
[[nodiscard]] nlohmann::json branch_json(const SeatStatus& status);
[[nodiscard]] nlohmann::json statistics_json(const StatisticsReport& report);
// Without what status and statistics say.
[[nodiscard]] nlohmann::json totals_json(const SeatTotals& totals);

} // namespace scxhost
