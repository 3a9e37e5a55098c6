// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/result.hpp"

#include <system_error>

namespace scxhost {

std::string to_string(const SourceLocation& where) {
    std::string out = where.file;
    if (where.line != 0)
        out += ':' + std::to_string(where.line);
    if (where.line != 0 && where.column != 0)
        out += ':' + std::to_string(where.column);
    return out;
}

std::unexpected<Error> fail_errno(ErrorKind kind, std::string what, int sys_errno, std::string hint) {
    what += ": " + std::generic_category().message(sys_errno);
    return fail(Error{.kind = kind, .what = std::move(what), .hint = std::move(hint), .sys_errno = sys_errno});
}

} // namespace scxhost
