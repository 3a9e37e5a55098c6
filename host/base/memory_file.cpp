// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/memory_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U // since 6.3
#endif

namespace scxhost {

Result<UniqueFd> make_memory_file(const std::string& name, std::span<const std::byte> bytes) {
    UniqueFd file(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
    // An older kernel refuses a flag that it does not know, and lets such a file be executed without it.
    if (!file && errno == EINVAL)
        file = UniqueFd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file)
        return fail_errno(ErrorKind::kIo, "cannot make a file in memory", errno);
    while (!bytes.empty()) {
        const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail_errno(ErrorKind::kIo, "cannot fill a file in memory", written < 0 ? errno : ENOSPC);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return fail_errno(ErrorKind::kIo, "cannot seal a file in memory", errno);
    return file;
}

} // namespace scxhost
