// SPDX-License-Identifier: GPL-2.0-only
//
// The options of an object that declares none: what a `const volatile` global holds, members of structs by their dotted
// path. And, for somebody who asks for one that is not offered, the reason.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/btf_view.hpp"
#include "host/bpf/declarations.hpp"
#include "host/bpf/type_walk.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

// Adds the options that a read-only variable holds. kObject: there are more than this host reads.
Result<> add_plain_options(const BtfView& btf, TypeWalk& walk, const VariablePlace& variable,
                           std::vector<OptionDeclaration>& out);

// Objects that were linked from several may have two variables of one name, which a setting cannot tell apart: takes
// them out.
void drop_ambiguous_options(std::vector<OptionDeclaration>& options);

struct NoOption {
    std::string why;  // half a sentence after the key: "is a pointer"
    std::string hint; // may be empty
};
// Why `key` is no option although a variable, or a member of one, has that name; nullopt when none has.
std::optional<NoOption> why_no_option(const BtfView& btf, const Declarations& declared, std::string_view key);

} // namespace scxhost
