// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/write_all.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace scxhost {

int write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written >= 0)
            bytes.remove_prefix(static_cast<std::size_t>(written));
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

} // namespace scxhost
