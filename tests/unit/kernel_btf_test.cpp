// SPDX-License-Identifier: GPL-2.0-only
//
// KernelBtf on small BTF made here with libbpf's own writer; the answers of real kernels are tested in guests
// (tests/vm/kernel_test.cpp).
#include "host/kernel/kernel_btf.hpp"
#include "tests/unit/btf_builder.hpp"

#include <bpf/btf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace scxhost {
namespace {

TEST(KernelBtf, EnumeratorsOfBothWidths) {
    BtfBuilder b;
    btf__add_enum(b.btf_, "small", 4);
    btf__add_enum_value(b.btf_, "SMALL_ONE", 1);
    btf__add_enum_value(b.btf_, "SMALL_TOP", 0xffffffffLL);
    btf__add_enum(b.btf_, "negative", 4);
    btf__add_enum_value(b.btf_, "NEGATIVE", -1);
    btf__add_enum64(b.btf_, "wide", 8, false);
    btf__add_enum64_value(b.btf_, "WIDE_TOP", 0x8000000000000002ULL);
    btf__add_enum(b.btf_, nullptr, 4);
    btf__add_enum_value(b.btf_, "ANONYMOUS", 7);
    const KernelBtf btf = b.build();
    EXPECT_EQ(btf.enumerator("SMALL_ONE"), 1U);
    EXPECT_EQ(btf.enumerator("SMALL_TOP"), 0xffffffffU);
    EXPECT_EQ(btf.enumerator("NEGATIVE"), ~std::uint64_t{0});
    EXPECT_EQ(btf.enumerator("WIDE_TOP"), 0x8000000000000002U);
    EXPECT_EQ(btf.enumerator("ANONYMOUS"), 7U);
    EXPECT_EQ(btf.enumerator("SMALL"), std::nullopt);
    EXPECT_EQ(btf.enumerator(""), std::nullopt);
    using Members = std::vector<std::pair<std::string, std::uint64_t>>;
    EXPECT_EQ(btf.enumerators_of("small"), (Members{{"SMALL_ONE", 1}, {"SMALL_TOP", 0xffffffff}}));
    EXPECT_EQ(btf.enumerators_of("wide"), (Members{{"WIDE_TOP", 0x8000000000000002}}));
    EXPECT_TRUE(btf.enumerators_of("absent").empty());
}

TEST(KernelBtf, KfuncsAreTheTaggedFunctions) {
    BtfBuilder b;
    b.kfunc("scx_bpf_kick_cpu", {{"cpu", b.int_}});
    b.func("plain", {});
    const KernelBtf btf = b.build();
    EXPECT_TRUE(btf.has_kfunc("scx_bpf_kick_cpu"));
    EXPECT_FALSE(btf.has_kfunc("plain"));
    EXPECT_TRUE(btf.has_func("plain"));
    EXPECT_FALSE(btf.has_func("absent"));
}

TEST(KernelBtf, WithoutAnyTagEveryFunctionMayBeAKfunc) {
    BtfBuilder b;
    b.func("scx_bpf_kick_cpu", {{"cpu", b.int_}});
    EXPECT_TRUE(b.build().has_kfunc("scx_bpf_kick_cpu"));
}

TEST(KernelBtf, Members) {
    BtfBuilder b;
    btf__add_union(b.btf_, nullptr, 4);
    btf__add_field(b.btf_, "inner", b.int_, 0, 0);
    const int anonymous = static_cast<int>(btf__type_cnt(b.btf_)) - 1;
    btf__add_struct(b.btf_, "sched_ext_ops", 12);
    btf__add_field(b.btf_, "select_cpu", b.int_, 0, 0);
    btf__add_field(b.btf_, nullptr, anonymous, 32, 0);
    btf__add_field(b.btf_, "name", b.int_, 64, 0);
    const KernelBtf btf = b.build();
    EXPECT_TRUE(btf.has_struct("sched_ext_ops"));
    EXPECT_TRUE(btf.has_member("sched_ext_ops", "name"));
    EXPECT_TRUE(btf.has_member("sched_ext_ops", "inner"));
    EXPECT_FALSE(btf.has_member("sched_ext_ops", "sub_attach"));
    EXPECT_FALSE(btf.has_member("sched_ext_ops_cid", "name"));
    EXPECT_EQ(btf.struct_members("sched_ext_ops"), (std::vector<std::string>{"select_cpu", "", "name"}));
    EXPECT_TRUE(btf.struct_members("absent").empty());
}

TEST(KernelBtf, MalformedIsAHiddenArgumentThatShows) {
    BtfBuilder b;
    b.kfunc("bpf_sound", {{"flags", b.int_}});
    b.kfunc("bpf_tagged", {{"flags", b.int_}, {"aux", b.aux_ptr_}});
    // The builds that break the prototype leave out the tag too.
    b.func("scx_bpf_create_dsq", {{"dsq_id", b.int_}, {"aux", b.aux_ptr_}});
    b.func("bpf_iter_scx_dsq_new", {{"it", b.void_ptr_}, {"aux", b.aux_ptr_}});
    const KernelBtf btf = b.build();
    std::vector<std::string> names;
    for (const MalformedKfunc& kfunc : btf.malformed_kfuncs())
        names.push_back(kfunc.name);
    EXPECT_EQ(names, (std::vector<std::string>{"bpf_iter_scx_dsq_new", "bpf_tagged", "scx_bpf_create_dsq"}));
    EXPECT_NE(btf.malformed_kfuncs()[2].why.find("scx_bpf_create_dsq_impl is missing"), std::string::npos);
    EXPECT_TRUE(btf.has_kfunc("scx_bpf_create_dsq"));
    EXPECT_TRUE(btf.malformed_kfunc("scx_bpf_create_dsq"));
    EXPECT_FALSE(btf.malformed_kfunc("bpf_sound"));
    EXPECT_FALSE(btf.malformed_kfunc("scx_bpf_create"));
    EXPECT_FALSE(btf.malformed_kfunc("zzz"));
}

TEST(KernelBtf, CallerMayKnowBetterThatAFunctionIsAKfunc) {
    BtfBuilder b;
    b.func("bpf_wq_start", {{"flags", b.int_}, {"aux", b.aux_ptr_}});
    const KernelBtf btf = b.build();
    EXPECT_TRUE(btf.malformed_kfuncs().empty());
    EXPECT_TRUE(btf.malformed_kfunc("bpf_wq_start"));
}

TEST(KernelBtf, SoundKfuncsAreNotMalformed) {
    BtfBuilder b;
    // A pair as a sound build makes it: the short prototype for callers, the full one for the kernel.
    b.kfunc("scx_bpf_create_dsq", {{"dsq_id", b.int_}});
    b.func("scx_bpf_create_dsq_impl", {{"dsq_id", b.int_}, {"aux", b.aux_ptr_}});
    // Explicit and filled in by the verifier, as kernels had it before.
    b.kfunc("bpf_stream_vprintk", {{"id", b.int_}, {"aux__prog", b.void_ptr_}});
    b.kfunc("bpf_no_arguments", {});
    b.kfunc("bpf_variadic", {{"fmt", b.const_int_ptr_}, {nullptr, 0}});
    // Not callable from BPF: its prototype is nobody's business.
    b.func("bpf_prog_free_deferred", {{"aux", b.aux_ptr_}});
    // Not last, so not the hidden one.
    b.kfunc("bpf_aux_first", {{"aux", b.aux_ptr_}, {"flags", b.int_}});
    const KernelBtf btf = b.build();
    EXPECT_TRUE(btf.malformed_kfuncs().empty());
    EXPECT_FALSE(btf.malformed_kfunc("scx_bpf_create_dsq_impl"));
}

TEST(KernelBtf, MovedObjectKeepsItsAnswers) {
    BtfBuilder b;
    b.kfunc("scx_bpf_kick_cpu", {{"cpu", b.int_}});
    KernelBtf first = b.build();
    EXPECT_TRUE(first.has_kfunc("scx_bpf_kick_cpu"));
    const KernelBtf second = std::move(first);
    EXPECT_TRUE(second.has_kfunc("scx_bpf_kick_cpu"));
}

TEST(KernelBtf, BrokenInputIsAnError) {
    const std::byte garbage[32] = {};
    EXPECT_EQ(KernelBtf::from_bytes(garbage).error().kind, ErrorKind::kUnsupported);
    EXPECT_EQ(KernelBtf::from_bytes({}).error().kind, ErrorKind::kUnsupported);
    const auto missing = KernelBtf::from_file("/nonexistent/btf");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().sys_errno, ENOENT);
}

TEST(KernelBtf, FromAFile) {
    BtfBuilder b;
    b.kfunc("scx_bpf_kick_cpu", {{"cpu", b.int_}});
    __u32 size = 0;
    const void* bytes = btf__raw_data(b.btf_, &size);
    const std::string path = testing::TempDir() + "scxhost-btf-" + std::to_string(::getpid());
    std::ofstream(path, std::ios::binary).write(static_cast<const char*>(bytes), size);
    const auto btf = KernelBtf::from_file(path);
    std::remove(path.c_str());
    ASSERT_TRUE(btf);
    EXPECT_TRUE(btf->has_kfunc("scx_bpf_kick_cpu"));
}

} // namespace
} // namespace scxhost
