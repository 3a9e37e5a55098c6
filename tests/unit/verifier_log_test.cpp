// SPDX-License-Identifier: GPL-2.0-only
//
// What a user is told when the kernel refuses a program, from logs as libbpf prints them.
#include "host/bpf/verifier_log.hpp"

#include <gmock/gmock.h>

#include <cerrno>

namespace scxhost {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string log_of(std::string_view body) {
    return "libbpf: prog 'simple_exit': BPF program load failed: -EINVAL\n"
           "libbpf: prog 'simple_exit': -- BEGIN PROG LOAD LOG --\n" +
           std::string(body) + "-- END PROG LOAD LOG --\nlibbpf: failed to load object 'simple'\n";
}

TEST(VerifierLog, ClassicVerdictGetsADiagnosis) {
    const VerifierRefusal refusal = parse_load_log(
        log_of("0: R1=ctx() R10=fp0\nR7 invalid mem access 'scalar'\nprocessed 2 insns (limit 1000000)\n"));
    EXPECT_EQ(refusal.program, "simple_exit");
    EXPECT_EQ(refusal.reason, "R7 invalid mem access 'scalar'");
    EXPECT_THAT(refusal.diagnosis, testing::Not(HasSubstr("arena")));
    EXPECT_THAT(refusal.excerpt, HasSubstr("R10=fp0"));
}

TEST(VerifierLog, KernelsOwnSuggestionComesFirst) {
    const VerifierRefusal refusal = parse_load_log(log_of("R7 invalid mem access 'scalar'\n\n"
                                                          "Verification failed: Memory\n\n"
                                                          "Suggestion:\n  Check the pointer\n  before use.\n\n"
                                                          "processed 2 insns\n"));
    EXPECT_EQ(refusal.reason, "R7 invalid mem access 'scalar'");
    EXPECT_EQ(refusal.diagnosis, "Check the pointer before use.");
}

// The verifier's advice is of no use there: the compiler did it.
TEST(VerifierLog, KnownCauseOfScalarArenaPointersStandsBesideTheKernelsSuggestion) {
    const std::string classic = log_of("R7 invalid mem access 'scalar'\nprocessed 2 insns\n");
    EXPECT_THAT(parse_load_log(classic, true).diagnosis, HasSubstr("clang 19"));
    const std::string log = log_of("R7 invalid mem access 'scalar'\n\nVerification failed: Memory\n\n"
                                   "Suggestion:\n  Check the pointer\n  before use.\n\nprocessed 2 insns\n");
    EXPECT_THAT(parse_load_log(log, true).diagnosis,
                AllOf(StartsWith("Check the pointer before use. "), HasSubstr("clang 19")));
    EXPECT_THAT(load_error("mine", EACCES, log, true).hint, HasSubstr("clang 19"));
    EXPECT_THAT(parse_load_log(log_of("Unreleased reference id=3\n"), true).diagnosis,
                testing::Not(HasSubstr("clang")));
}

TEST(VerifierLog, MapThatTheKernelDoesNotCreateIsNamed) {
    const Error error = load_error("mine", EINVAL,
                                   "libbpf: map 'queue': failed to create: -EINVAL\n"
                                   "libbpf: failed to load BPF skeleton 'mine': -EINVAL\n");
    EXPECT_EQ(error.what, "cannot load 'mine' into the kernel, which refuses its map 'queue': Invalid argument");
    EXPECT_THAT(error.hint, HasSubstr("type or a flag of this map"));
}

TEST(VerifierLog, LockdownIsNamedWhateverTheKernelSuggests) {
    const char* verdict = "program of this type cannot use helper bpf_probe_read_str#45\n";
    for (const std::string& body :
         {verdict + std::string("processed 7 insns\n"),
          verdict + std::string("\nVerification failed: Policy\n\nSuggestion:\n  Use another helper.\n")}) {
        SCOPED_TRACE(body);
        EXPECT_THAT(parse_load_log(log_of(body)).diagnosis, HasSubstr("lockdown=confidentiality"));
    }
}

TEST(VerifierLog, UnknownVerdictHasNoDiagnosis) {
    EXPECT_EQ(parse_load_log(log_of("something entirely new\n")).diagnosis, "");
}

TEST(VerifierLog, NoRefusedProgram) {
    EXPECT_EQ(parse_load_log("libbpf: failed to create map\n").program, "");
    const Error error = load_error("simple", EPERM, "libbpf: Error in bpf_object__probe_loading(): -EPERM\n");
    EXPECT_EQ(error.kind, ErrorKind::kPermission);
    EXPECT_THAT(error.hint, HasSubstr("CAP_BPF and CAP_PERFMON"));
}

TEST(VerifierLog, CutOffLogIsSafe) {
    const std::string log = log_of("R7 invalid mem access 'scalar'\n");
    for (std::size_t size = 0; size <= log.size(); ++size)
        (void)parse_load_log(std::string_view(log).substr(0, size));
}

TEST(VerifierLog, CommonRefusalsAreExplained) {
    const struct {
        const char* reason;
        const char* meaning;
    } cases[] = {
        {"BPF program is too large. Processed 1000001 insn", "the verifier gave up"},
        {"The sequence of 8193 jumps is too complex.", "the number of jumps"},
        {"infinite loop detected at insn 7", "bpf_for()"},
        {"back-edge from insn 9 to 3", "bpf_for()"},
        {"Unreleased reference id=3 alloc_insn=12", "not released on every path"},
        {"R1 invalid mem access 'map_value_or_null'", "without a NULL check"},
        {"R1 invalid mem access 'ptr_or_null_task_struct'", "may be NULL"},
        {"invalid access to map value, value_size=32 off=32 size=8", "not checked against the array's size"},
        {"R2 unbounded memory access, make sure to bounds check any such access", "no upper bound"},
        {"calling kernel function scx_bpf_create_dsq is not allowed", "may not be called"},
        {"combined stack size of 2 calls is 544. Too large", "512 bytes of stack"},
    };
    for (const auto& test : cases) {
        const VerifierRefusal refusal = parse_load_log(log_of(std::string(test.reason) + "\nprocessed 1 insns\n"));
        EXPECT_EQ(refusal.reason, test.reason);
        EXPECT_THAT(refusal.diagnosis, HasSubstr(test.meaning)) << test.reason;
    }
}

TEST(VerifierLog, ExcerptIsTheEndOfALongLog) {
    std::string body;
    for (int i = 0; i < 500; ++i)
        body += "line " + std::to_string(i) + "\n";
    const VerifierRefusal refusal = parse_load_log(log_of(body));
    EXPECT_EQ(refusal.reason, "line 499");
    EXPECT_THAT(refusal.excerpt, HasSubstr("earlier lines"));
    EXPECT_THAT(refusal.excerpt, HasSubstr("line 499\n"));
    EXPECT_THAT(refusal.excerpt, testing::Not(HasSubstr("line 1\n")));
}

TEST(VerifierLog, LoadErrorsByErrno) {
    const struct {
        int sys_errno;
        ErrorKind kind;
        const char* hint;
    } cases[] = {
        {EACCES, ErrorKind::kPermission, "CAP_BPF"},       {ENOMEM, ErrorKind::kAttach, "no memory"},
        {E2BIG, ErrorKind::kAttach, "larger than"},        {ESRCH, ErrorKind::kUnsupported, "scxhost info"},
        {EINVAL, ErrorKind::kUnsupported, "scxhost info"},
    };
    for (const auto& test : cases) {
        const Error error = load_error("mine", test.sys_errno, "libbpf: said this\n");
        EXPECT_EQ(error.kind, test.kind) << test.sys_errno;
        EXPECT_THAT(error.hint, HasSubstr(test.hint)) << test.sys_errno;
        EXPECT_THAT(error.what, HasSubstr("cannot load 'mine' into the kernel: "));
        EXPECT_EQ(error.detail, "libbpf: said this\n");
        EXPECT_EQ(error.sys_errno, test.sys_errno);
    }
    const Error refused = load_error("mine", EACCES, log_of("bad thing\n"));
    EXPECT_EQ(refused.kind, ErrorKind::kVerifier);
    EXPECT_EQ(refused.what, "the kernel's verifier refused program 'simple_exit' of 'mine': bad thing");
}

} // namespace
} // namespace scxhost
