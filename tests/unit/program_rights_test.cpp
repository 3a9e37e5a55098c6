// SPDX-License-Identifier: GPL-2.0-only
#include "host/programs/program_rights.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

namespace scxhost {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr CapabilitySet kAll = ~CapabilitySet{0};

TEST(ProgramRights, AllThatIsMissingIsNamedAtOnce) {
    const TempDir dir;
    const auto rights = check_program_rights(
        {.ptrace_scope = dir.write("scope", "3\n"),
         .capabilities = kAll & ~(CapabilitySet{1} << CAP_SYS_PTRACE) & ~(CapabilitySet{1} << CAP_SYS_CHROOT)});
    ASSERT_FALSE(rights);
    EXPECT_EQ(rights.error().kind, ErrorKind::kPermission);
    EXPECT_THAT(rights.error().what, AllOf(HasSubstr("CAP_SYS_CHROOT and CAP_SYS_PTRACE"), HasSubstr("ptrace_scope"),
                                           Not(HasSubstr("CAP_SYS_ADMIN"))));
    EXPECT_THAT(rights.error().hint, HasSubstr("programs.conf"));
}

TEST(ProgramRights, LesserScopesOfPtraceAreNoObstacle) {
    const TempDir dir;
    for (const char* scope : {"0", "1", "2"}) {
        const auto rights = check_program_rights({.ptrace_scope = dir.write("scope", scope), .capabilities = kAll});
        EXPECT_TRUE(rights || rights.error().what.find("ptrace_scope") == std::string::npos) << scope;
    }
}

} // namespace
} // namespace scxhost
