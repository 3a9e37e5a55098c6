// SPDX-License-Identifier: GPL-2.0-only
//
// The table of kernel features. That its releases are right is tested on real kernels (tests/vm/kernel_test.cpp).
#include "host/kernel/features.hpp"
#include "tests/support/places.hpp"
#include "tests/unit/btf_builder.hpp"

#include <fstream>
#include <iterator>
#include <set>

namespace scxhost {
namespace {

TEST(Probe, EachKind) {
    BtfBuilder b;
    b.kfunc("scx_bpf_kick_cpu", {{"cpu", b.int_}});
    b.func("scx_bpf_create_dsq", {{"id", b.int_}, {"aux", b.aux_ptr_}});
    b.func("plain", {});
    btf__add_struct(b.btf_, "sched_ext_ops", 4);
    btf__add_field(b.btf_, "priv", b.int_, 0, 0);
    btf__add_enum(b.btf_, "flags", 4);
    btf__add_enum_value(b.btf_, "SCX_ENQ_IMMED", 1);
    const KernelBtf btf = b.build();
    const struct {
        ProbeKind kind;
        const char* name;
        Availability expected;
    } cases[] = {
        {ProbeKind::kKfunc, "scx_bpf_kick_cpu", Availability::kPresent},
        {ProbeKind::kKfunc, "scx_bpf_create_dsq", Availability::kMalformed},
        {ProbeKind::kKfunc, "plain", Availability::kAbsent},
        {ProbeKind::kFunction, "plain", Availability::kPresent},
        {ProbeKind::kFunction, "absent", Availability::kAbsent},
        {ProbeKind::kEnumerator, "SCX_ENQ_IMMED", Availability::kPresent},
        {ProbeKind::kEnumerator, "SCX_ENQ_OTHER", Availability::kAbsent},
        {ProbeKind::kStruct, "sched_ext_ops", Availability::kPresent},
        {ProbeKind::kStruct, "sched_ext_ops_cid", Availability::kAbsent},
        {ProbeKind::kMember, "sched_ext_ops.priv", Availability::kPresent},
        {ProbeKind::kMember, "sched_ext_ops.sub_attach", Availability::kAbsent},
        {ProbeKind::kMember, "no_dot", Availability::kAbsent},
        {ProbeKind::kFile, "/proc/self/status", Availability::kPresent},
        {ProbeKind::kFile, "/nonexistent", Availability::kAbsent},
    };
    for (const auto& [kind, name, expected] : cases) {
        SCOPED_TRACE(name);
        EXPECT_EQ(probe(btf, kind, name), expected);
    }
}

TEST(Features, TableIsConsistent) {
    std::set<std::string_view> keys;
    std::set<FeatureGroup> closed;
    const Feature* previous = nullptr;
    for (const Feature& feature : known_features()) {
        SCOPED_TRACE(feature.key);
        EXPECT_TRUE(keys.insert(feature.key).second) << "twice";
        EXPECT_FALSE(feature.purpose.empty());
        if (previous && previous->group != feature.group)
            closed.insert(previous->group);
        EXPECT_FALSE(closed.contains(feature.group)) << "its group is in two pieces";
        previous = &feature;
    }
}

TEST(Features, EachIsProbedOnce) {
    BtfBuilder b;
    const auto states = probe_features(b.build());
    ASSERT_EQ(states.size(), known_features().size());
    for (std::size_t i = 0; i < states.size(); ++i)
        EXPECT_EQ(states[i].feature, &known_features()[i]);
}

TEST(Features, DocumentHoldsTheTable) {
    std::ifstream file(std::string(kSourceDir) + "/docs/kernel-support.md");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::string begin = "<!-- features: begin -->\n";
    const std::string end = "<!-- features: end -->";
    const std::size_t from = text.find(begin);
    const std::size_t to = text.find(end);
    ASSERT_NE(from, std::string::npos);
    ASSERT_NE(to, std::string::npos);
    EXPECT_EQ(text.substr(from + begin.size(), to - from - begin.size()), feature_table())
        << "put the second text between the markers of docs/kernel-support.md";
}

} // namespace
} // namespace scxhost
