// SPDX-License-Identifier: GPL-2.0-only
//
// Puts the user's settings into a BPF object: checks each against its declaration and the variable's real type, writes
// the bytes. Everything happens before load; nothing here touches the kernel's state.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/machine_facts.hpp"
#include "host/bpf/option_value.hpp"
#include "host/bpf/scheduler_object.hpp"
#include "host/config/setting.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace scxhost {

class KernelBtf;

struct OptionValue {
    std::string key;
    std::string text; // as TOML
    bool set = false; // by the user, as opposed to the default
};

struct Binding {
    std::vector<OptionValue> values; // parallel to the declared options
    std::vector<std::string> notes;  // what was tolerated; one line each
};

// Binds defaults that come from the kernel, then `options` ([scheduler.options]), then `ops` ([scheduler.ops], members
// of the struct_ops by name). `kernel` may be null where none can be asked: then what depends on it is left alone.
// `machine` has the facts that options may ask for.
// Errors: kConfig with the setting's place, kObject when the object contradicts itself. A failed bind leaves the object
// half bound: do not load it.
Result<Binding> bind_options(SchedulerObject& object, std::span<const Setting> options, std::span<const Setting> ops,
                             const KernelBtf* kernel, const MachineFacts& machine = MachineFacts());

} // namespace scxhost
