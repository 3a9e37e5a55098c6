// SPDX-License-Identifier: GPL-2.0-only
//
// The start of every test program.
#include "host/base/standard_descriptors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

int main(int argc, char** argv) {
    // A test that counts descriptors, or that writes to a file it has opened, must not meet the runner's closed ones.
    scxhost::open_standard_descriptors();
    testing::InitGoogleMock(&argc, argv);
    return RUN_ALL_TESTS();
}
