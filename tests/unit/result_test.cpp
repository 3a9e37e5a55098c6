// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/result.hpp"

#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace scxhost {
namespace {

Result<std::unique_ptr<int>> make(int value) {
    if (value < 0)
        return fail(ErrorKind::kConfig, "negative", "use a positive number");
    return std::make_unique<int>(value);
}

Result<int> doubled(int value) {
    const std::unique_ptr<int> made = SCXHOST_TRY(make(value));
    return *made * 2;
}

TEST(Result, TryYieldsTheValueAlsoOfAMoveOnlyType) {
    EXPECT_EQ(doubled(21).value(), 42);
}

TEST(Result, TryHandsTheWholeErrorToTheCaller) {
    const Result<int> result = doubled(-1);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kConfig);
    EXPECT_EQ(result.error().what, "negative");
    EXPECT_EQ(result.error().hint, "use a positive number");
}

TEST(Result, AnErrnoIsKeptAndSpelledOut) {
    const Result<> result = fail_errno(ErrorKind::kIo, "cannot open x", ENOENT);
    EXPECT_EQ(result.error().sys_errno, ENOENT);
    EXPECT_EQ(result.error().what, "cannot open x: No such file or directory");
}

TEST(Result, NumbersThatLibcDoesNotKnowAreSpelledOut) {
    EXPECT_EQ(error_number_text(EINVAL), "Invalid argument");
    EXPECT_EQ(error_number_text(524), "Operation not supported by this kernel");
    EXPECT_EQ(error_number_text(LIBBPF_ERRNO__FORMAT), "BPF object format invalid");
    EXPECT_EQ(fail_errno(ErrorKind::kObject, "cannot open x", LIBBPF_ERRNO__KVERSION).error().what,
              "cannot open x: 'version' section incorrect or lost");
}

} // namespace
} // namespace scxhost
