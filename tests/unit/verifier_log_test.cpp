// SPDX-License-Identifier: GPL-2.0-only
//
// What a user is told when the kernel refuses a program, from logs as libbpf prints them.
#include "host/bpf/verifier_log.hpp"

#include <gmock/gmock.h>

#include <cerrno>

namespace scxhost {
namespace {

using testing::HasSubstr;

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
    EXPECT_THAT(refusal.diagnosis, HasSubstr("arena"));
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

} // namespace
} // namespace scxhost
