// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/memory_file.hpp"

#include "host/base/write_all.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

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
    if (const int error =
            write_all(file.get(), std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
        error != 0)
        return fail_errno(ErrorKind::kIo, "cannot fill a file in memory", error);
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return fail_errno(ErrorKind::kIo, "cannot seal a file in memory", errno);
    return file;
}

} // namespace scxhost
