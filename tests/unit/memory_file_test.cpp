// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/memory_file.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace scxhost {
namespace {

TEST(MemoryFileTest, HoldsTheBytesAndCannotBeChanged) {
    const std::string text = "a text";
    const auto file = make_memory_file("test", std::as_bytes(std::span(text)));
    ASSERT_TRUE(file) << file.error().what;
    std::string read(16, '\0');
    EXPECT_EQ(::pread(file->get(), read.data(), read.size(), 0), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(read.c_str(), text);
    EXPECT_EQ(::pwrite(file->get(), "x", 1, 0), -1);
    EXPECT_EQ(::ftruncate(file->get(), 0), -1);
    void* code = ::mmap(nullptr, text.size(), PROT_READ | PROT_EXEC, MAP_PRIVATE, file->get(), 0);
    ASSERT_NE(code, MAP_FAILED);
    ::munmap(code, text.size());
}

TEST(MemoryFileTest, MayBeEmpty) {
    EXPECT_TRUE(make_memory_file("test", {}));
}

} // namespace
} // namespace scxhost
