// SPDX-License-Identifier: GPL-2.0-only
//
// One object and many kernels, made up of a few types each: what is refused, what is left out, and what is told.
#include "host/bpf/kernel_fit.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "tests/plugins/zoo.hpp"
#include "tests/unit/btf_builder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>

namespace scxhost {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::uint64_t kKnownFlag = 1ULL << 1U;
constexpr std::uint64_t kNewFlag = 1ULL << 40U;

// A kernel that has all that fits.bpf.c asks for, but for what a test takes away.
struct KernelModel {
    std::set<std::string> kfuncs = {"fits_needed", "fits_optional", "fits_declared", "scx_bpf_this_cid"};
    std::set<std::string> malformed = {};
    std::vector<std::string> members = {"enqueue", "sub_attach", "flags", "timeout_ms", "name"};
    bool cid_form = true;
    bool immed = true;
    std::optional<std::uint64_t> flags = kKnownFlag | kNewFlag;

    [[nodiscard]] KernelBtf build() const {
        BtfBuilder b;
        for (const std::string& name : kfuncs) {
            if (malformed.contains(name))
                b.kfunc(name.c_str(), {{"aux", b.aux_ptr_}});
            else
                b.kfunc(name.c_str(), {});
        }
        structure(b, "sched_ext_ops", members);
        if (cid_form)
            structure(b, "sched_ext_ops_cid", {"enqueue", "flags", "timeout_ms", "name"});
        btf__add_enum64(b.btf_, "some_enum", 8, false);
        btf__add_enum64_value(b.btf_, "SCX_SLICE_DFL", 20'000'000);
        btf__add_enum64_value(b.btf_, "SCX_ENQ_LAST", 1ULL << 41U);
        if (immed)
            btf__add_enum64_value(b.btf_, "SCX_ENQ_IMMED", 1ULL << 33U);
        if (flags)
            btf__add_enum64_value(b.btf_, "SCX_OPS_ALL_FLAGS", *flags);
        return b.build();
    }

private:
    static void structure(BtfBuilder& b, const char* name, const std::vector<std::string>& members) {
        btf__add_struct(b.btf_, name, static_cast<__u32>(members.size() * 8));
        for (std::size_t i = 0; i < members.size(); ++i)
            btf__add_field(b.btf_, members[i].c_str(), b.int_, static_cast<__u32>(i * 64), 0);
    }
};

class KernelFitTest : public testing::Test {
protected:
    Result<std::vector<std::string>> fit(const KernelModel& model, const std::string& struct_ops = "fits_ops") {
        object_.emplace(SchedulerObject::open({.name = "fits", .bytes = bytes_, .struct_ops = struct_ops}).value());
        const KernelBtf kernel = model.build();
        const Result<> form = choose_form(*object_, kernel, false);
        EXPECT_TRUE(form);
        return fit_to_kernel(*object_, kernel);
    }
    std::vector<std::string> notes(const KernelModel& model, const std::string& struct_ops = "fits_ops") {
        const Result<std::vector<std::string>> notes = fit(model, struct_ops);
        EXPECT_TRUE(notes) << notes.error().what;
        return notes.value_or(std::vector<std::string>{});
    }
    template <typename T>
    T variable(const char* name) {
        const std::span<std::byte> raw = object_->variable_bytes(*object_->btf().find_variable(name));
        T value{};
        EXPECT_EQ(raw.size(), sizeof value) << name;
        std::memcpy(&value, raw.data(), std::min(raw.size(), sizeof value));
        return value;
    }

    Bytes bytes_ = zoo_bytes("fits.bpf.o");
    std::optional<SchedulerObject> object_;
};

TEST_F(KernelFitTest, KernelWithEverything) {
    EXPECT_THAT(notes({}), IsEmpty());
    EXPECT_TRUE(variable<bool>("has_optional"));
    EXPECT_TRUE(variable<bool>("has_immed"));
    EXPECT_TRUE(variable<bool>("has_sub_attach"));
    EXPECT_THAT(object_->ops_members_set(), Contains("sub_attach"));
    EXPECT_EQ(object_->ops_member("flags").value(), kKnownFlag | kNewFlag);
    EXPECT_EQ(object_->ops_member("timeout_ms").value(), 1000U);
}

TEST_F(KernelFitTest, NeededKfuncsThatAreMissingAreAllNamed) {
    const auto missing = fit({.kfuncs = {"fits_optional"}});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(missing.error().what, AllOf(HasSubstr("'fits' needs "), HasSubstr("fits_needed"), HasSubstr(" and "),
                                            HasSubstr("fits_declared"), HasSubstr(", which this kernel does not have"),
                                            Not(HasSubstr("fits_optional"))));
    EXPECT_THAT(missing.error().hint, HasSubstr("scxhost info"));

    const auto one = fit({.kfuncs = {"fits_needed", "fits_optional"}});
    EXPECT_EQ(one.error().what, "'fits' needs fits_declared, which this kernel does not have")
        << "weak for the linker, but declared as needed";
}

TEST_F(KernelFitTest, NeededKfuncThatIsMalformedIsRefusedAndCalledADefect) {
    KernelModel model;
    model.malformed = {"fits_needed"};
    const auto one = fit(model);
    ASSERT_FALSE(one);
    EXPECT_EQ(one.error().kind, ErrorKind::kUnsupported);
    EXPECT_EQ(one.error().what, "'fits' needs fits_needed, which is malformed in this kernel's BTF");
    EXPECT_THAT(one.error().hint, HasSubstr("defect of the kernel build"));
    model.malformed.insert("fits_declared");
    EXPECT_THAT(fit(model).error().what, HasSubstr("which are malformed in this kernel's BTF"));
    model.kfuncs.erase("fits_needed");
    EXPECT_THAT(fit(model).error().what, HasSubstr("needs fits_declared, which is malformed"))
        << "the defect is told before what is missing";
}

TEST_F(KernelFitTest, OptionalKfuncIsDoneWithout) {
    KernelModel model;
    model.kfuncs.erase("fits_optional");
    EXPECT_THAT(notes(model), ElementsAre("nothing optional"));
    EXPECT_FALSE(variable<bool>("has_optional"));

    model = {};
    model.malformed = {"fits_optional"};
    EXPECT_THAT(notes(model),
                ElementsAre("does without fits_optional, malformed in this kernel's BTF", "nothing optional"));
    EXPECT_FALSE(variable<bool>("has_optional")) << "there, but of no use";
}

TEST_F(KernelFitTest, MemberThatTheKernelLacksIsCleared) {
    KernelModel model;
    model.members = {"enqueue", "flags", "name"};
    EXPECT_THAT(notes(model), ElementsAre("no schedulers below this one",
                                          "this kernel's sched_ext_ops has no sub_attach and timeout_ms: not used"));
    EXPECT_FALSE(variable<bool>("has_sub_attach"));
    EXPECT_THAT(object_->ops_members_set(), ElementsAre("enqueue", "flags", "name"));
}

TEST_F(KernelFitTest, FlagsThatTheKernelDoesNotKnowAreCleared) {
    KernelModel model;
    model.flags = kKnownFlag;
    EXPECT_THAT(notes(model), ElementsAre("this kernel does not know the flags 0x10000000000: not used"));
    EXPECT_EQ(object_->ops_member("flags").value(), kKnownFlag);

    model.flags.reset();
    EXPECT_THAT(notes(model), IsEmpty());
    EXPECT_EQ(object_->ops_member("flags").value(), kKnownFlag | kNewFlag) << "nobody knows which ones it knows";
}

TEST_F(KernelFitTest, EnumeratorsOfObjectsThatKeepThem) {
    KernelModel model;
    model.immed = false;
    EXPECT_THAT(notes(model), ElementsAre("nothing immediate"));
    EXPECT_FALSE(variable<bool>("has_immed"));
    EXPECT_EQ(variable<std::uint64_t>("__SCX_SLICE_DFL"), 20'000'000U);
    EXPECT_EQ(variable<std::uint64_t>("__SCX_FROM_ANOTHER_WORLD"), 7U) << "unknown to the kernel";
    EXPECT_EQ(variable<std::uint64_t>("__SCX_ENQ_LAST"), 7U) << "not read-only: the scheduler's own";
    EXPECT_THAT(notes({}), IsEmpty());
    EXPECT_EQ(variable<std::uint32_t>("__SCX_ENQ_IMMED"), 7U) << "too narrow for an enumerator";
}

TEST_F(KernelFitTest, FormIsTheKernelsUnlessOneIsAskedFor) {
    KernelModel model;
    EXPECT_THAT(notes(model, ""), IsEmpty());
    EXPECT_EQ(object_->struct_ops_name(), "fits_cid_ops");
    EXPECT_EQ(object_->ops_type_name(), "sched_ext_ops_cid");
    EXPECT_TRUE(variable<bool>("in_cid_form"));
    EXPECT_EQ(object_->ops_name(), "fits_" + object_->build_id());

    EXPECT_THAT(notes(model, "fits_ops"), IsEmpty());
    EXPECT_EQ(object_->ops_type_name(), "sched_ext_ops");
    EXPECT_FALSE(variable<bool>("in_cid_form")) << "the form that was taken, not what the kernel can do";

    model.cid_form = false;
    EXPECT_THAT(notes(model, ""), IsEmpty());
    EXPECT_EQ(object_->struct_ops_name(), "fits_ops");
    EXPECT_FALSE(variable<bool>("in_cid_form"));

    model = {};
    model.kfuncs.erase("scx_bpf_this_cid");
    EXPECT_THAT(notes(model, ""), ElementsAre("no topological ids"));
    EXPECT_EQ(object_->struct_ops_name(), "fits_ops") << "the form needs the feature as well";
}

// An object that does not say when: a branch needs the cid form, and the machine's scheduler does not.
TEST_F(KernelFitTest, ABranchTakesTheCidFormWhereThereIsOne) {
    Bytes simple = zoo_bytes(std::string(kPluginsDir) + "/simple.bpf.o");
    KernelModel model;
    for (const bool is_branch : {false, true}) {
        object_.emplace(SchedulerObject::open({.name = "simple", .bytes = simple, .struct_ops = ""}).value());
        ASSERT_TRUE(choose_form(*object_, model.build(), is_branch));
        EXPECT_EQ(object_->ops_type_name(), is_branch ? "sched_ext_ops_cid" : "sched_ext_ops");
        EXPECT_EQ(object_->ops_name(), "simple_" + object_->build_id());
    }
    model.cid_form = false;
    object_.emplace(SchedulerObject::open({.name = "simple", .bytes = simple, .struct_ops = ""}).value());
    ASSERT_TRUE(choose_form(*object_, model.build(), true));
    EXPECT_EQ(object_->ops_type_name(), "sched_ext_ops") << "a kernel without that form";

    // Under two names they are two schedulers, and somebody has to choose.
    const std::size_t links = section_offset(simple, ".struct_ops.link");
    const std::size_t name = as_text(simple).find(std::string_view("simple\0", 7), links);
    ASSERT_NE(name, std::string_view::npos);
    simple[name] = std::byte{'d'};
    const Result<SchedulerObject> two = SchedulerObject::open({.name = "two", .bytes = simple, .struct_ops = ""});
    ASSERT_FALSE(two);
    EXPECT_THAT(two.error().what, HasSubstr("has 2 struct_ops maps"));
}

TEST_F(KernelFitTest, FormThatTheKernelLacksIsRefusedBeforeWhatElseIsMissing) {
    const auto refused = fit({.kfuncs = {}, .cid_form = false}, "fits_cid_ops");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
    EXPECT_EQ(refused.error().what,
              "'fits' is written for struct sched_ext_ops_cid, the form with topological CPU ids, "
              "which this kernel does not have");
    EXPECT_THAT(refused.error().hint, HasSubstr("docs/kernel-support.md"));
    EXPECT_TRUE(fit({}, "fits_cid_ops"));
}

} // namespace
} // namespace scxhost
