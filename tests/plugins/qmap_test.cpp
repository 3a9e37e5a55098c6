// SPDX-License-Identifier: GPL-2.0-only
//
// What qmap's user-space half says about options that do not fit together, without rights and without a kernel; and
// that configs/qmap.toml names every option with its default.
#include "tests/support/places.hpp"
#include "tests/vm/host_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace scxhost {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Check {
    int status;
    std::string text; // all that it said
};

class QmapPlugin : public testing::Test {
protected:
    static void SetUpTestSuite() { ::setenv("PATH", (std::string(kProgramDir) + ":/usr/bin:/bin").c_str(), 1); }

    static Check check(const std::vector<std::string>& settings) {
        std::vector<std::string> arguments = {"check", "qmap", "--plugin-dir", kPluginsDir};
        for (const std::string& setting : settings)
            arguments.insert(arguments.end(), {"--set", setting});
        HostProcess process(arguments);
        const int status = process.wait();
        return {status, process.out() + process.err()};
    }
};

TEST_F(QmapPlugin, SliceAsLongAsTheTimeoutIsRefused) {
    const Check refused = check({"slice=2s", "timeout=2s"});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.text, AllOf(HasSubstr("slice is not shorter than timeout"), HasSubstr("a shorter slice")));
    EXPECT_THAT(check({"slice=1s", "timeout=2s"}).text, Not(HasSubstr("slice is not shorter")));
}

TEST_F(QmapPlugin, NoEntriesAreRefused) {
    const Check refused = check({"max_tasks=0"});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.text, AllOf(HasSubstr("max_tasks must be > 0"), HasSubstr("default is 16384")));
}

TEST_F(QmapPlugin, OptionsWithoutTheirCompanionAreToldOf) {
    EXPECT_THAT(check({"boost_highpri=true"}).text, HasSubstr("set dispatch_batch = 8"));
    EXPECT_THAT(check({"boost_highpri=true", "dispatch_batch=8"}).text, Not(HasSubstr("boost_highpri has")));
    EXPECT_THAT(check({"disallow_pid=1"}).text, HasSubstr("set partial = true"));
    EXPECT_THAT(check({"disallow_pid=1", "partial=true"}).text, Not(HasSubstr("set partial")));
    EXPECT_THAT(check({}).text, AllOf(Not(HasSubstr("boost_highpri has")), Not(HasSubstr("set partial"))));
}

TEST_F(QmapPlugin, ConfigurationHasEveryOptionWithItsDefault) {
    HostProcess options({"options", "qmap", "--json", "--plugin-dir", kPluginsDir});
    ASSERT_EQ(options.wait(), 0) << options.err();
    const nlohmann::json declared = nlohmann::json::parse(options.out()).at("options");
    std::ifstream file(std::string(kSourceDir) + "/configs/qmap.toml");
    std::ostringstream text;
    text << file.rdbuf();
    for (const nlohmann::json& option : declared) {
        const std::string key = option.at("key");
        // "# key = default   # help"; the slice's default is the kernel's own, here the usual one.
        const std::regex line("# " + key + R"( = (\S+) +# \S.*)");
        std::smatch found;
        const std::string content = text.str();
        ASSERT_TRUE(std::regex_search(content, found, line)) << key << " is not in configs/qmap.toml";
        EXPECT_EQ(found[1], option.at("value").get<std::string>()) << key;
    }
}

} // namespace
} // namespace scxhost
