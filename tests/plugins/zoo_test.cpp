// SPDX-License-Identifier: GPL-2.0-only
//
// Every animal of the zoo, as far as it gets without a kernel: the host says what animals.cpp says that it does,
// nothing of the plugin's has run that should not have, and nothing of it stays.
#include "host/bpf/scheduler_object.hpp"
#include "host/plugins/plugin.hpp"
#include "host/plugins/plugin_directory.hpp"
#include "tests/plugins/animals.hpp"
#include "tests/plugins/journal.hpp"
#include <scxhost/plugin.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

namespace scxhost {
namespace {

using namespace std::chrono_literals;
using testing::Eq;
using testing::StartsWith;

class Zoo : public testing::TestWithParam<Animal> {
protected:
    struct Said {
        std::string what;
        std::string hint;
    };

    std::string journal() const {
        std::ifstream file(journal_);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    // What the host says when it goes with the plugin as far as the animal lets it.
    Said visit() {
        const auto said = [](const Error& error) { return Said{error.what, error.hint}; };
        const Animal& animal = GetParam();
        const Result<PluginFile> file = find_plugin({root_}, animal.plugin);
        if (!file)
            return said(file.error());
        Result<SchedulerObject> opened =
            SchedulerObject::open({.name = file->info.name, .bytes = file->object, .struct_ops = {}});
        if (!opened)
            return said(opened.error());
        EXPECT_EQ(journal(), "") << "code of the plugin has run";
        const Environment fault(zoo::kFault, animal.fault);
        const Said found = call(*file, std::make_shared<SchedulerObject>(*std::move(opened)));
        if (animal.hangs) {
            EXPECT_TRUE(comes_true([this] { return journal().find("hangs\n") != std::string::npos; }));
        }
        return found;
    }

    Said call(const PluginFile& file, std::shared_ptr<SchedulerObject> object) {
        // For each call, of which all but one only have to be in time.
        const std::chrono::nanoseconds allowance = GetParam().hangs ? 2s : kPatience;
        Said logged{{}, GetParam().hint}; // a line in a log has none
        Result<std::unique_ptr<Plugin>> plugin =
            Plugin::load(file, std::move(object),
                         [&](int level, std::string_view, std::string_view message) {
                             if (level >= SCXHOST_LOG_WARNING)
                                 logged.what = message;
                         },
                         {.preparing = allowance, .running = allowance});
        if (!plugin)
            return {plugin.error().what, plugin.error().hint};
        for (const PluginCallback callback :
             {PluginCallback::kConfigure, PluginCallback::kLoaded, PluginCallback::kAttached, PluginCallback::kTick,
              PluginCallback::kDetaching})
            if (const Result<> result = (*plugin)->call(callback); !result)
                return {result.error().what, result.error().hint};
        plugin->reset();
        return logged;
    }

    TempDir dir_;
    std::filesystem::path root_ = std::filesystem::canonical(dir_.path());
    TempDir other_;
    std::filesystem::path journal_ = other_.path() / "journal";
    std::filesystem::path gate_ = other_.write("gate", "");
};

TEST_P(Zoo, IsNamedAndGone) {
    const Animal& animal = GetParam();
    if (animal.needs_root && ::geteuid() != 0)
        GTEST_SKIP() << "only root can give a file away";
    if (animal.meets == Meets::kEvent)
        GTEST_SKIP() << "needs a kernel that runs the object";
    animal.put(dir_);
    const Environment notes(zoo::kJournal, journal_.string());
    const Environment at(zoo::kGate, gate_.string());
    const Said said = visit();
    const std::string expected = in_folder(animal, animal.what, root_);
    EXPECT_THAT(said.what, animal.hangs ? testing::Matcher<std::string>(StartsWith(expected)) : Eq(expected));
    EXPECT_EQ(said.hint, in_folder(animal, animal.hint, root_));

    const std::filesystem::path library = root_ / (std::string(animal.plugin) + ".so");
    if (animal.hangs) {
        EXPECT_EQ(PluginThread::left_behind(), 1U);
        EXPECT_TRUE(is_in_memory(library)) << "it was taken away under what hangs";
        std::filesystem::remove(gate_);
        EXPECT_TRUE(comes_true([] { return PluginThread::left_behind() == 0; }));
    }
    if (animal.meets <= Meets::kObject) {
        EXPECT_EQ(journal(), "") << "code of the plugin has run";
    }
    EXPECT_TRUE(comes_true([&] { return !is_in_memory(library); }));
}

INSTANTIATE_TEST_SUITE_P(Animals, Zoo, testing::ValuesIn(animals()),
                         [](const auto& animal) { return std::string(animal.param.name); });

} // namespace
} // namespace scxhost
