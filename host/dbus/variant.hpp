// SPDX-License-Identifier: GPL-2.0-only
//
// JSON as D-Bus values.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <systemd/sd-bus.h>

namespace scxhost {

// An object as a{sv}. Strings become s, whole numbers x, others d, truth values b, arrays av, objects a{sv}; what is
// null is left out. A negative errno on failure, as sd-bus's own functions.
[[nodiscard]] int append_object(sd_bus_message* message, const nlohmann::json& object);

} // namespace scxhost
