// SPDX-License-Identifier: GPL-2.0-only
//
// The two interfaces as sd-bus's tables. Their data is the Bridge.
#pragma once

#include "host/dbus/bus.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace scxhost {

inline constexpr const char* kLoaderPath = "/org/scx/Loader";
inline constexpr const char* kHostPath = "/org/scxhost/Host1";

[[nodiscard]] const sd_bus_vtable* loader_table();
[[nodiscard]] const sd_bus_vtable* host_table();

// The signal Event of org.scxhost.Host1, which every user can hear: without what is private.
void emit_event(Bus& bus, const std::string& name, const std::string& seat, nlohmann::json event);

// The answer to a call that returns nothing: success, or the error's text with its hint.
void answer(sd_bus_message* call, const Result<>& result);
void answer_error(sd_bus_message* call, const Error& error);

} // namespace scxhost
