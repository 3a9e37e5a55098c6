// SPDX-License-Identifier: GPL-2.0-only
//
// What an opened scheduler declares, as text and as JSON: shared by `options` and `inspect`.
#pragma once

#include "host/base/result.hpp"
#include "host/supervisor/prepared_scheduler.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace scxhost {

class KernelBtf;

// Options with their values after binding. kObject: a declaration contradicts itself.
Result<std::string> options_text(const PreparedScheduler& scheduler, bool colour);
Result<nlohmann::json> options_json(const PreparedScheduler& scheduler);

std::string statistics_text(const PreparedScheduler& scheduler, bool colour);
nlohmann::json statistics_json(const PreparedScheduler& scheduler);

// The kfuncs that the object refers to; with `kernel`, whether it has them.
std::string kfuncs_text(const PreparedScheduler& scheduler, const KernelBtf* kernel);
nlohmann::json kfuncs_json(const PreparedScheduler& scheduler, const KernelBtf* kernel);

} // namespace scxhost
