// SPDX-License-Identifier: GPL-2.0-only
//
// Puts the user's settings into a BPF object: checks each against its declaration and the variable's real type, writes
// the bytes. Everything happens before load; nothing here touches the kernel's state.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/declarations.hpp"
#include "host/bpf/scheduler_object.hpp"
#include "host/config/setting.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace scxhost {

class KernelBtf;

// What an option accepts, in numbers: the narrower of the variable's range and the declared limits. Durations count
// nanoseconds, sizes bytes. kObject when the declared limits are no limits.
struct OptionLimits {
    std::int64_t min = 0;
    std::int64_t max = 0;
};
Result<OptionLimits> option_limits(const OptionDeclaration& option);

// Whether the initial value in `raw` (the variable's bytes) keeps to the limits that the option itself declares; what
// the author wrote would otherwise be refused from a user. kObject names the tag.
Result<> check_default(const OptionDeclaration& option, std::span<const std::byte> raw);

// "duration, from 1us to 1s", "one of fifo or vtime": for help and errors.
Result<std::string> describe_option(const OptionDeclaration& option);

// The value in `raw` (the variable's bytes) as TOML text: `"20ms"`, `16384`, `true`.
std::string format_option(const OptionDeclaration& option, std::span<const std::byte> raw);

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
// Errors: kConfig with the setting's place, kObject when the object contradicts itself. A failed bind leaves the object
// half bound: do not load it.
Result<Binding> bind_options(SchedulerObject& object, std::span<const Setting> options, std::span<const Setting> ops,
                             const KernelBtf* kernel);

} // namespace scxhost
