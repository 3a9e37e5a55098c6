// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/result.hpp"

#include <bpf/libbpf.h>

#include <array>
#include <system_error>

namespace scxhost {
namespace {

constexpr int kKernelNotSupported = 524; // ENOTSUPP (include/linux/errno.h): no part of the user-space interface

} // namespace

std::string to_string(const SourceLocation& where) {
    std::string out = where.file;
    if (where.line != 0)
        out += ':' + std::to_string(where.line);
    if (where.line != 0 && where.column != 0)
        out += ':' + std::to_string(where.column);
    return out;
}

std::string error_number_text(int number) {
    if (number == kKernelNotSupported)
        return "Operation not supported by this kernel";
    if (number < __LIBBPF_ERRNO__START)
        return std::generic_category().message(number);
    std::array<char, 256> text = {};
    libbpf_strerror(number, text.data(), text.size());
    return text.data();
}

std::unexpected<Error> fail_errno(ErrorKind kind, std::string what, int sys_errno, std::string hint) {
    what += ": " + error_number_text(sys_errno);
    return fail(Error{.kind = kind, .what = std::move(what), .hint = std::move(hint), .sys_errno = sys_errno});
}

} // namespace scxhost
