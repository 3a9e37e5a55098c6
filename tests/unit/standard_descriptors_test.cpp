// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

// CTest runs this once more with all three closed (unit.closed-descriptors).
TEST(StandardDescriptors, AreOpen) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        EXPECT_GE(fcntl(fd, F_GETFD), 0) << fd;
}
