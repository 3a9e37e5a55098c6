// SPDX-License-Identifier: GPL-2.0-only
//
// The value of one option: what it may be, and how it gets from a setting into a variable's bytes and from there into
// text. The same rules hold for everything that a setting is stored in: variables, values of maps, arguments.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/declarations.hpp"
#include "host/bpf/machine_facts.hpp"
#include "host/config/setting.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace scxhost {

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

// Stores a setting in the bytes that `option` describes. kConfig with the setting's place: it does not fit.
Result<> store_option(const OptionDeclaration& option, const Setting& setting, std::span<std::byte> raw);

// Stores a fact of the machine, which `setting` asks for. kConfig: no option of this kind can hold it.
Result<> store_fact(const OptionDeclaration& option, const Setting& setting, const MachineFact& fact,
                    std::span<std::byte> raw);

} // namespace scxhost
