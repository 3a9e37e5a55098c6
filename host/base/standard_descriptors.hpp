// SPDX-License-Identifier: GPL-2.0-only
//
// Descriptors 0, 1 and 2 of a process that was started with some of them closed. The next file that such a process
// opens gets the free number, and is then written to by whatever prints.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace scxhost {

// To be called first in main(). What is closed is opened so that reading or writing it goes on failing with EBADF:
// nobody reads this output, and that is to be noticed.
inline void open_standard_descriptors() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            // The lowest free number is this one.
            if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
                std::abort();
}

} // namespace scxhost
