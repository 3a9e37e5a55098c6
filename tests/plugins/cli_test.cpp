// SPDX-License-Identifier: GPL-2.0-only
//
// The program as a user sees it, on any machine, without rights: what it prints, where, and its exit status.
#include "host/base/unique_fd.hpp"
#include "host/config/config.hpp"
#include "host/plugins/plugin_file.hpp"
#include "tests/plugins/journal.hpp"
#include "tests/plugins/zoo.hpp"
#include "tests/vm/host_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace scxhost {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Answer {
    int status;
    std::string out;
    std::string err;

    [[nodiscard]] json document() const { return json::parse(out, nullptr, false); }
};

Answer scxhost(const std::vector<std::string>& arguments) {
    HostProcess process(arguments);
    const int status = process.wait();
    return {status, process.out(), process.err()};
}

class CliTest : public testing::Test {
protected:
    static void SetUpTestSuite() { ::setenv("PATH", (std::string(kProgramDir) + ":/usr/bin:/bin").c_str(), 1); }

    fs::path config(const std::string& text) { return dir_.write("conf.toml", text); }
    // `check` of a configuration, with the plugins of the zoo.
    Answer check(const std::string& text) { return scxhost({"check", config(text).string(), "--plugin-dir", kZooDir}); }

    TempDir dir_;
};

TEST_F(CliTest, TopNeedsAHostAndATimeToAskIt) {
    const std::string socket = dir_.path() / "sock";
    for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--once"}}) {
        std::vector<std::string> arguments = {"top", "--socket", socket};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const Answer answer = scxhost(arguments);
        EXPECT_EQ(answer.status, 5);
        EXPECT_THAT(answer.err, HasSubstr("no host is running at " + socket));
        EXPECT_EQ(answer.out, "") << "no screen for an error";
    }
    for (const char* interval : {"99ms", "0s", "5"}) {
        const Answer answer = scxhost({"top", "--interval", interval});
        EXPECT_EQ(answer.status, 2) << interval;
        EXPECT_THAT(answer.err, HasSubstr("--interval: "));
    }
}

TEST_F(CliTest, Help) {
    const Answer help = scxhost({"--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_THAT(help.out, AllOf(HasSubstr("Exit status: 0 done"), HasSubstr("scxhost check")));
    EXPECT_EQ(help.err, "");
    for (const char* command : {"run", "check", "list", "inspect", "options", "info", "new"}) {
        const Answer answer = scxhost({command, "--help"});
        EXPECT_EQ(answer.status, 0) << command;
        EXPECT_THAT(answer.out, HasSubstr("--json")) << command;
        EXPECT_EQ(answer.err, "") << command;
        EXPECT_THAT(help.out, HasSubstr(command));
    }
    EXPECT_THAT(scxhost({"--version"}).out, AllOf(StartsWith("scxhost "), HasSubstr("plugin contract 1.")));
}

TEST_F(CliTest, WrongUsage) {
    const struct {
        std::vector<std::string> arguments;
        const char* what;
        const char* hint;
    } cases[] = {
        {{"chek", "x.toml"}, "error: there is no command \"chek\"", "did you mean \"check\"?"},
        {{"frobnicate"}, "error: there is no command \"frobnicate\"", "known commands: run, check, list"},
        {{"list", "--jsn"}, "--jsn", "did you mean \"--json\"?"},
        {{"list", "--wholly-unknown"}, "--wholly-unknown", "see 'scxhost list --help'"},
        {{"run"}, "WHAT is required", "see 'scxhost run --help'"},
        {{"run", "simple", "--for"}, "--for", "see 'scxhost run --help'"},
        {{"options", "simple", "--json", "--toml"}, "--toml", "see 'scxhost options --help'"},
        {{"run", "simple", "--for", "soon"}, "error: --for: ", "hint"},
        {{"list", "--plugin-dir", "/no/such/folder"}, "error: cannot use the plugin folder /no/such/folder", ""},
        {{}, "error: A subcommand is required", "see 'scxhost --help'"},
    };
    for (const auto& test : cases) {
        const Answer answer = scxhost(test.arguments);
        EXPECT_EQ(answer.status, 2) << test.what;
        EXPECT_EQ(answer.out, "") << test.what;
        EXPECT_THAT(answer.err, AllOf(StartsWith("scxhost: error: "), HasSubstr(test.what), HasSubstr(test.hint)));
    }
}

// A shell's exit status and what was written to stderr.
Answer shell(const std::string& command) {
    Answer answer{};
    const UniqueFd before(::dup(STDERR_FILENO));
    std::FILE* file = std::tmpfile();
    ::dup2(::fileno(file), STDERR_FILENO);
    const int status = std::system(command.c_str());
    ::dup2(before.get(), STDERR_FILENO);
    answer.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::rewind(file);
    for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file))
        answer.err += static_cast<char>(c);
    std::fclose(file);
    return answer;
}

TEST_F(CliTest, AnAnswerThatCannotBeWrittenIsNoSuccess) {
    for (const char* command :
         {"list", "list --json", "--help", "--version", "options simple", "inspect simple", "info", "info --json"})
        for (const auto& [target, reason] : {std::pair(">/dev/full", "No space left"), std::pair(">&-", "Bad file")}) {
            const Answer answer = shell(fmt::format("scxhost {} {}", command, target));
            EXPECT_EQ(answer.status, 2) << command << target;
            EXPECT_THAT(answer.err, AllOf(HasSubstr("error: the output could not be written"), HasSubstr(reason)))
                << command << target;
        }
    EXPECT_EQ(shell("(trap '' PIPE; sleep 0; scxhost list; echo $? >&2) | true").err, "0\n")
        << "a reader that went away";
    EXPECT_EQ(shell("scxhost options none >&-").status, 2);
    EXPECT_EQ(shell("scxhost list >/dev/null <&-").status, 0);
    EXPECT_EQ(shell("scxhost list >/dev/full 2>&-").status, 2);
}

TEST_F(CliTest, NewWritesAFolderAndSaysWhatIsNext) {
    const std::string here = dir_.path().string();
    const Answer text = scxhost({"new", "rocket", "--dir", here});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_THAT(text.out, AllOf(HasSubstr("made " + here + "/rocket:"), HasSubstr("  rocket.bpf.c\n"),
                                HasSubstr("  cd " + here + "/rocket\n"), HasSubstr("cmake --build build")));
    EXPECT_TRUE(fs::exists(dir_.path() / "rocket/rocket.bpf.c"));

    const json document = scxhost({"new", "other", "--cpp", "--json", "--dir", here}).document();
    EXPECT_EQ(document.value("schema", 0), 1);
    EXPECT_EQ(document.value("folder", ""), here + "/other");
    EXPECT_THAT(document.at("files").get<std::vector<std::string>>(), testing::Contains("other.cpp"));

    const Answer again = scxhost({"new", "rocket", "--dir", here});
    EXPECT_EQ(again.status, 2);
    EXPECT_EQ(again.out, "");
    EXPECT_THAT(again.err, HasSubstr("rocket exists already, and is left as it is"));
    EXPECT_EQ(scxhost({"new", "my-sched"}).status, 2);
    EXPECT_EQ(scxhost({"new", "rocket", "--dir", here + "/none"}).status, 2);
}

TEST_F(CliTest, ShippedConfigurationsAreGood) {
    for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(kSourceDir) / "configs")) {
        if (entry.path().extension() != ".toml")
            continue;
        const Answer answer = scxhost({"check", entry.path().string()});
        const Result<Config> config = load_config(entry.path());
        ASSERT_TRUE(config) << entry.path() << config.error().what;
        // Other people's programs need not be installed here. All that can be said of them is said.
        if (const fs::path& program = config->scheduler.program; !program.empty()) {
            const bool installed = fs::exists(program);
            EXPECT_THAT(answer.out, HasSubstr("ok           configuration"));
            EXPECT_EQ(answer.status, installed ? 0 : 2) << entry.path() << answer.out << answer.err;
            EXPECT_THAT(answer.err, HasSubstr(installed ? "" : program.string() + ": there is no such program"));
            continue;
        }
        EXPECT_EQ(answer.status, 0) << entry.path() << answer.out << answer.err;
        EXPECT_THAT(answer.out, AllOf(HasSubstr("ok           configuration"), HasSubstr("ok           options"),
                                      HasSubstr("not checked  verifier")));
        EXPECT_EQ(answer.err, "");
    }
}

TEST_F(CliTest, GoodConfigurationWithOptions) {
    const Answer answer =
        check("[scheduler]\nplugin = \"good\"\n[scheduler.options]\nslice = \"5ms\"\ntitle = \"Zoo\"\n");
    EXPECT_EQ(answer.status, 0) << answer.err;
    EXPECT_THAT(answer.out, HasSubstr("2 set, 13 known"));
    EXPECT_THAT(answer.out, HasSubstr("ok           plugin's own checks"));
    EXPECT_THAT(answer.err, HasSubstr("good: slice 5000000")) << "the plugin's log";
}

TEST_F(CliTest, CheckNotesAWatchdogThatIsLaterThanProbation) {
    const std::string zoo = "[scheduler]\nplugin = \"good\"\n[scheduler.options]\n";
    const std::string late = "to see that a task is not run (timeout_ms)";
    EXPECT_THAT(check(zoo).out, Not(HasSubstr(late))) << "5 s, and 10 s of probation";
    EXPECT_THAT(check(zoo + "timeout = \"8s\"\n").out, HasSubstr("takes up to 12s " + late));
    EXPECT_THAT(check(zoo + "[swap]\nprobation = \"7s\"\n").out, HasSubstr("swap.probation is 7s"));
    EXPECT_THAT(check(zoo + "[swap]\nprobation = \"0s\"\n").out, Not(HasSubstr(late)));
}

TEST_F(CliTest, BadConfigurationsHavePlaceMessageAndHint) {
    const std::string zoo = "[scheduler]\nplugin = \"good\"\n[scheduler.options]\n";
    const struct {
        std::string text;
        const char* place;
        const char* what;
        const char* hint;
    } cases[] = {
        {"[scheduler\nplugin = \"good\"\n", ":1:", "error: ", ""},
        {"[scheduler]\nplugni = \"good\"\n", ":2:1:", "plugni", "did you mean \"plugin\"?"},
        {"[scheduler]\nplugin = 7\n", ":2:10:", "expected a string, found the integer 7", ""},
        {"[scheduler]\nplugin = \"goood\"\n", "", "there is no plugin 'goood' in", "did you mean \"good\"?"},
        {"[scheduler]\nplugin = \"../zoo/good\"\n", ":2:10:", "is not a plugin name", "letters, digits"},
        {zoo + "slise = \"5ms\"\n", ":4:1:", "'good' has no such option", "did you mean \"slice\"?"},
        {zoo + "slice = 5\n", ":4:9:", "expected a duration", "5ms"},
        {zoo + "slice = \"1 fortnight\"\n", ":4:9:", "is not a duration", ""},
        {zoo + "slice = \"1h\"\n", ":4:9:", "1h is out of range: it must be from 1us to 1s", ""},
        {zoo + "mode = \"wlid\"\n", ":4:8:", "expected calm or wild", "did you mean \"wild\"?"},
        {zoo + "[scheduler.ops]\nenqueue_ms = 1\n", ":5:1:", "sched_ext_ops has no such number", "timeout_ms"},
        {zoo + "[scheduler.ops]\nenqueue = 1\n", ":5:1:", "this is a callback, and no number", "write false"},
    };
    for (const auto& test : cases) {
        SCOPED_TRACE(test.text);
        const Answer answer = check(test.text);
        EXPECT_EQ(answer.status, 2) << answer.out;
        EXPECT_THAT(answer.out, HasSubstr("FAILED"));
        if (*test.place != '\0') {
            EXPECT_THAT(answer.err, HasSubstr("conf.toml" + std::string(test.place)));
        }
        EXPECT_THAT(answer.err, AllOf(HasSubstr(test.what), HasSubstr(test.hint)));
    }
}

TEST_F(CliTest, CheckFindsTheUsersOfRules) {
    const std::string rule = "[scheduler]\nplugin = \"good\"\n[[below]]\ncgroup = \"/games\"\nplugin = \"good\"\n"
                             "[[delegate]]\ncgroup = \"/games\"\nuser = ";
    EXPECT_THAT(check(rule + "\"root\"\n").out, ContainsRegex("ok +delegates +1 rule"));
    const Answer missing = check(rule + "\"nobody-of-this-name\"\n");
    EXPECT_EQ(missing.status, 2) << missing.out;
    EXPECT_THAT(missing.out, ContainsRegex("FAILED +delegates"));
    EXPECT_THAT(missing.err, AllOf(HasSubstr("conf.toml:8:8"), HasSubstr("no user \"nobody-of-this-name\"")));
    const Answer unknown = check(rule + "\"root\"\nplugins = [\"good\", \"goood\"]\n");
    EXPECT_EQ(unknown.status, 2) << unknown.out;
    EXPECT_THAT(unknown.err, AllOf(HasSubstr("conf.toml:6:1"), HasSubstr("there is no plugin 'goood'")));
}

TEST_F(CliTest, MissingFilesAreNamedAsTheyWereGiven) {
    const std::string config = dir_.write("simple.toml", "").string();
    const std::string object = dir_.write("simple.bpf.o", "").string();
    const std::string library = dir_.write("simple.so", "").string();
    const struct {
        std::string given;
        std::string hint;
    } cases[] = {
        {"/no/such.toml", "there is no folder /no"},
        {"/no/such.bpf.o", "there is no folder /no"},
        {"/no/such.so", "there is no folder /no"},
        {(dir_.path() / "simpel.toml").string(), "did you mean " + config + "?"},
        {(dir_.path() / "simpel.bpf.o").string(), "did you mean " + object + "?"},
        {(dir_.path() / "simpel.so").string(), "did you mean " + library + "?"},
    };
    for (const auto& test : cases)
        for (const char* command : {"run", "check", "inspect", "options"}) {
            const Answer answer = scxhost({command, test.given});
            EXPECT_EQ(answer.status, 2) << command << " " << test.given;
            EXPECT_THAT(answer.err, AllOf(HasSubstr("error: there is no file " + test.given + "\n"),
                                          HasSubstr("hint: " + test.hint)))
                << command;
        }
}

TEST_F(CliTest, CheckInJson) {
    const fs::path file = config("[scheduler]\nplugin = \"good\"\n[scheduler.options]\nslise = \"5ms\"\n");
    const Answer answer = scxhost({"check", file.string(), "--plugin-dir", kZooDir, "--json"});
    EXPECT_EQ(answer.status, 2);
    EXPECT_EQ(answer.err, "");
    const json document = answer.document();
    EXPECT_EQ(document["schema"], 1);
    EXPECT_EQ(document["ok"], false);
    EXPECT_EQ(document["exit_status"], 2);
    const auto failed =
        std::ranges::find_if(document["items"], [](const json& item) { return item.contains("error"); });
    ASSERT_NE(failed, document["items"].end());
    EXPECT_EQ((*failed)["name"], "options");
    EXPECT_EQ((*failed)["error"]["line"], 4);
    EXPECT_EQ((*failed)["error"]["hint"], "did you mean \"slice\"?");
}

// The host would not start with it.
TEST_F(CliTest, CheckFindsTheGroups) {
    const std::string text = "[scheduler]\nplugin = \"good\"\n[control]\ngroup = \"root\"\nreaders = \"{}\"\n";
    Answer answer = check(fmt::format(fmt::runtime(text), "nobody-has-this-group"));
    EXPECT_EQ(answer.status, 2);
    EXPECT_THAT(answer.err, AllOf(HasSubstr(".toml:5:11: error: there is no group \"nobody-has-this-group\""),
                                  HasSubstr("hint: make it (groupadd --system nobody-has-this-group)")));
    answer = check(fmt::format(fmt::runtime(text), "daemon"));
    EXPECT_THAT(answer.out, ContainsRegex("ok +groups +control.group = root, control.readers = daemon"));
}

TEST_F(CliTest, BrokenFilesAreNamed) {
    const struct {
        std::string file;
        const char* what;
    } cases[] = {
        {zoo_path("no_scheduler.bpf.o").string(), "is no sched_ext scheduler"},
        {zoo_path("two_ops.bpf.o").string(), "has 2 struct_ops maps: first_ops and second_ops"},
        {zoo_path("lying.bpf.o").string(), "option 'slice' is of kind string"},
        {dir_.write("text.bpf.o", "text").string(), "not an ELF file"},
        {dir_.write("text.so", "text").string(), "not an ELF file"},
        {(dir_.path() / "absent.bpf.o").string(), "absent.bpf.o"},
    };
    for (const auto& test : cases)
        for (const char* command : {"check", "inspect", "options"}) {
            const Answer answer = scxhost({command, test.file});
            EXPECT_EQ(answer.status, 2) << command << " " << test.file;
            EXPECT_THAT(answer.err, HasSubstr(test.what)) << command;
        }
}

TEST_F(CliTest, ListAndInspectRunNoCodeOfThePlugin) {
    const fs::path journal = dir_.path() / "journal";
    const Environment environment(zoo::kJournal, journal.string());
    const Environment fault(zoo::kFault, "constructor:print");
    const char* const printed = "a constructor of the library ran";
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{"list", "--plugin-dir", kZooDir},
                                                      {"inspect", zoo_path("good.so").string()},
                                                      {"options", zoo_path("good.so").string()}}) {
        const Answer answer = scxhost(arguments);
        EXPECT_EQ(answer.status, 0);
        EXPECT_THAT(answer.out, Not(HasSubstr(printed))) << arguments[0];
        EXPECT_FALSE(fs::exists(journal)) << arguments[0];
    }
    EXPECT_THAT(scxhost({"check", zoo_path("good.so").string()}).out, HasSubstr(printed));
    EXPECT_TRUE(fs::exists(journal)) << "check lets the plugin check its options";
}

TEST_F(CliTest, List) {
    dir_.write("broken.so", "text");
    const Answer text = scxhost({"list", "--plugin-dir", kZooDir, "--plugin-dir", dir_.path().string()});
    EXPECT_EQ(text.status, 0);
    EXPECT_THAT(text.out, ContainsRegex("good +1\\.2\\.3 +Notes what the host asks of it"));
    EXPECT_THAT(text.err,
                AllOf(HasSubstr("warning: "), HasSubstr("broken.so is not a usable plugin: not an ELF file")));

    const json document =
        scxhost({"list", "--plugin-dir", kZooDir, "--plugin-dir", dir_.path().string(), "--json"}).document();
    EXPECT_EQ(document["schema"], 1);
    const json& plugins = document["plugins"];
    ASSERT_GT(plugins.size(), 2U);
    EXPECT_EQ(plugins[0]["name"], "around");
    EXPECT_EQ(plugins[0]["contract"], to_string(host_contract()));
    EXPECT_EQ(plugins[0]["usable"], true);
    EXPECT_EQ(plugins.back()["usable"], false);
    EXPECT_EQ(plugins.back()["error"]["kind"], "plugin");
}

TEST_F(CliTest, Inspect) {
    const Answer text = scxhost({"inspect", zoo_path("good.so").string()});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_THAT(text.out, AllOf(HasSubstr("good 1.2.3: Notes what the host asks of it"), HasSubstr("enqueued"),
                                HasSubstr("scx_bpf_dsq_insert"), HasSubstr("uei"), Not(HasSubstr("\033"))));

    const json document = scxhost({"inspect", zoo_path("good.bpf.o").string(), "--json"}).document();
    EXPECT_EQ(document["schema"], 1);
    EXPECT_EQ(document["name"], "good");
    EXPECT_EQ(document["struct_ops"], "zoo_ops");
    EXPECT_EQ(document["exit_record"], true);
    EXPECT_EQ(document["options"].size(), 13U);
    EXPECT_EQ(document["statistics"][0]["name"], "enqueued");
    EXPECT_FALSE(document.contains("plugin"));
}

// A file that does not even look like an object by its name.
TEST_F(CliTest, ObjectByItsFlag) {
    const fs::path file = dir_.path() / "somebodys";
    fs::copy_file(zoo_path("bare.bpf.o"), file);
    const Answer checked = scxhost({"check", "--object", file.string(), "--set", "slice_us=5", "--set",
                                    "tuning.debug.on=yes", "--set", "scheduler.ops.timeout_ms=700"});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
    EXPECT_THAT(checked.out, AllOf(HasSubstr("2 set, 10 known"), HasSubstr("none: a bare object"),
                                   HasSubstr("nobody runs the syscall program bare_ask;")));
    const json options = scxhost({"options", "--object", file.string(), "--json"}).document();
    EXPECT_EQ(options["scheduler"], "somebodys");
    EXPECT_EQ(options["options"].size(), 10U);
    const json document = scxhost({"inspect", "--object", file.string(), "--set", "mode=BARE_WILD", "--set",
                                   "stats.variables=counts,stats", "--json"})
                              .document();
    EXPECT_EQ(document["struct_ops"], "bare_ops");
    EXPECT_EQ(document["programs"].size(), 3U);
    EXPECT_EQ(document["statistics"].size(), 5U);
    const Answer text = scxhost({"inspect", "--object", file.string()});
    EXPECT_THAT(text.out, AllOf(HasSubstr("bare_fork (tp_btf/sched_process_fork)"), HasSubstr("tuning.debug.level"),
                                HasSubstr("one of BARE_CALM or BARE_WILD")));
    const Answer run = scxhost({"run", "--object", (dir_.path() / "absent").string()});
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.err, HasSubstr("absent"));
    const Answer both = scxhost({"check", "simple", "--object", file.string()});
    EXPECT_EQ(both.status, 2);
    EXPECT_THAT(both.err, HasSubstr("excludes"));
}

// What is left to do is said where somebody looks for it, and no longer when it is done.
TEST_F(CliTest, ObjectsThatNeedMoreThanOptionsSayWhat) {
    const std::string object = zoo_path("needy.bpf.o").string();
    const json document = scxhost({"inspect", "--object", object, "--json"}).document();
    EXPECT_EQ(document["unsized_maps"], json({"layers"}));
    EXPECT_EQ(document["growing_arrays"], json({"per_cpu_marks", "cpu_llc"}));
    EXPECT_EQ(document["programs"][0]["context"], json({"cpu_id", "sibling_cpu_id", "level"}));
    EXPECT_THAT(scxhost({"inspect", "--object", object}).out,
                AllOf(HasSubstr("enable_cpu (syscall, context: cpu_id, sibling_cpu_id and level)"),
                      HasSubstr("map layers: without a number of entries it is not loaded"),
                      HasSubstr("array cpu_llc: it has one element")));
    EXPECT_EQ(scxhost({"inspect", "--object", object, "--set", "scheduler.sizes.layers=2", "--json"})
                  .document()["unsized_maps"],
              json::array());

    Answer checked = scxhost({"check", "--object", object});
    EXPECT_THAT(checked.out, AllOf(HasSubstr("nobody runs the syscall programs enable_cpu and reset;"),
                                   HasSubstr("per_cpu_marks and cpu_llc have one element;")));
    const auto file = dir_.write("needy.toml", "[scheduler]\nobject = \"" + object +
                                                   "\"\n[scheduler.sizes]\nlayers = 2\ncpu_llc = 1\n"
                                                   "per_cpu_marks.machine = \"cpus\"\n"
                                                   "[[scheduler.call]]\nprogram = \"reset\"\n");
    checked = scxhost({"check", file.string()});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
    EXPECT_THAT(checked.out, AllOf(HasSubstr("sizes.layers = 2"), HasSubstr("call[0] = reset()"),
                                   HasSubstr("nobody runs the syscall program enable_cpu;"),
                                   testing::Not(HasSubstr("one element"))));
}

TEST_F(CliTest, OneOfSeveralStructOpsIsChosen) {
    const std::string object = zoo_path("two_ops.bpf.o").string();
    const std::string choice = "scheduler.struct_ops=second_ops";
    EXPECT_EQ(scxhost({"check", object, "--set", choice}).status, 0);
    EXPECT_EQ(scxhost({"inspect", object, "--set", choice, "--json"}).document()["struct_ops"], "second_ops");
    const Answer answer = check("[scheduler]\nobject = \"" + object + "\"\nstruct_ops = \"second_ops\"\n");
    EXPECT_EQ(answer.status, 0) << answer.out << answer.err;
}

TEST_F(CliTest, NamedStatisticsHaveTheirPlaceInTheFile) {
    const std::string scheduler = "[scheduler]\nobject = \"" + zoo_path("bare.bpf.o").string() + "\"\n";
    EXPECT_EQ(check(scheduler + "[stats]\nvariables = [\"stats\", \"counts.forks\"]\n").status, 0);
    const Answer answer = check(scheduler + "[stats]\nvariables = [\"conts.forks\"]\n");
    EXPECT_EQ(answer.status, 2);
    EXPECT_THAT(answer.err, AllOf(HasSubstr("conf.toml:4:"), HasSubstr("per-CPU array map 'conts'"),
                                  HasSubstr("did you mean \"counts\"?")));
}

TEST_F(CliTest, Options) {
    const json document = scxhost({"options", zoo_path("good.so").string(), "--set", "count=7", "--json"}).document();
    EXPECT_EQ(document["schema"], 1);
    ASSERT_EQ(document["options"].size(), 13U);
    const json& count = document["options"][1];
    EXPECT_EQ(count["key"], "count");
    EXPECT_EQ(count["kind"], "int");
    EXPECT_EQ(count["value"], "7");
    EXPECT_EQ(count["set"], true);
    EXPECT_EQ(count["min"], "1");
    EXPECT_EQ(document["options"][7]["words"], (json{"calm", "wild"}));

    const Answer wrong = scxhost({"options", zoo_path("good.so").string(), "--set", "count=700"});
    EXPECT_EQ(wrong.status, 2);
    EXPECT_THAT(wrong.err, AllOf(HasSubstr("--set count"), HasSubstr("700 is out of range: it must be from 1 to 100")));
}

TEST_F(CliTest, SampleOfOptionsIsAGoodConfiguration) {
    std::string sample = scxhost({"options", zoo_path("good.so").string(), "--toml"}).out;
    // As a user would: every default made a setting.
    for (std::size_t at = 0; (at = sample.find("\n# ", at)) != std::string::npos; ++at)
        if (sample.find(" = ", at + 1) < sample.find('\n', at + 1))
            sample.erase(at + 1, 2);
    const Answer answer = check(sample);
    EXPECT_EQ(answer.status, 0) << sample << answer.err;
    EXPECT_THAT(answer.out, HasSubstr("13 set, 13 known")) << sample;
}

TEST_F(CliTest, Info) {
    const Answer answer = scxhost({"info", "--json"});
    EXPECT_EQ(answer.status, 0) << answer.err;
    EXPECT_EQ(answer.document()["schema"], 1);
    EXPECT_EQ(scxhost({"info"}).status, 0);
}

TEST_F(CliTest, RunNeedsSchedExt) {
    if (fs::exists("/sys/kernel/sched_ext"))
        GTEST_SKIP() << "this machine's kernel has sched_ext, and its scheduler is not ours to replace";
    for (const char* scheduler : {"simple", "qmap"}) {
        const Answer answer = scxhost({"run", scheduler, "--for", "1s"});
        EXPECT_EQ(answer.status, 3) << answer.err;
        EXPECT_EQ(answer.out, "");
        EXPECT_THAT(answer.err, AllOf(StartsWith("scxhost: error: "), HasSubstr("sched_ext"), HasSubstr("hint:")));
    }
}

TEST_F(CliTest, RunRefusesBadInputBeforeItAsksTheKernel) {
    EXPECT_EQ(scxhost({"run", "no-such-plugin"}).status, 2);
    EXPECT_EQ(scxhost({"run", "/no/such.toml"}).status, 2);
    EXPECT_EQ(scxhost({"run", zoo_path("lying.bpf.o").string()}).status, 2);
}

} // namespace
} // namespace scxhost
