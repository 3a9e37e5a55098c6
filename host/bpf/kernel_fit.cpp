// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/kernel_fit.hpp"

#include "host/base/suggest.hpp"
#include "host/kernel/kernel_btf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace scxhost {
namespace {

// libbpf would look for the type at load, and say ESRCH without its name.
Result<> check_form(const SchedulerObject& object, const KernelBtf& kernel) {
    const std::string type(object.ops_type_name());
    if (kernel.has_struct(type))
        return {};
    return fail(ErrorKind::kUnsupported,
                fmt::format("'{}' is written for struct {}{}, which this kernel does not have", object.name(), type,
                            type == kCidOpsType ? ", the form with topological CPU ids" : ""),
                type == kCidOpsType ? "use a build of it for struct sched_ext_ops, or a kernel that has this form "
                                      "(docs/kernel-support.md says since when)"
                                    : "boot a kernel with sched_ext; `scxhost info` shows what this one can do");
}

Result<std::vector<std::string>> check_kfuncs(const SchedulerObject& object, const KernelBtf& kernel) {
    std::vector<std::string> missing;
    std::vector<std::string> malformed;
    std::vector<std::string> avoided;
    const std::vector<std::string>& needed = object.declarations().needed_kfuncs;
    for (const SchedulerObject::KfuncUse& use : object.kfuncs()) {
        const bool optional = use.weak && std::ranges::find(needed, use.name) == needed.end();
        if (kernel.malformed_kfunc(use.name))
            (optional ? avoided : malformed).push_back(use.name);
        else if (!optional && !kernel.has_func(use.name))
            missing.push_back(use.name);
    }
    if (!malformed.empty())
        return fail(ErrorKind::kUnsupported,
                    fmt::format("'{}' needs {}, which {} malformed in this kernel's BTF", object.name(),
                                list_words(malformed, "and"), malformed.size() == 1 ? "is" : "are"),
                    "this is a defect of the kernel build, not of the scheduler: use another build of the kernel "
                    "(`scxhost info` lists all malformed kfuncs)");
    if (!missing.empty())
        return fail(
            ErrorKind::kUnsupported,
            fmt::format("'{}' needs {}, which this kernel does not have", object.name(), list_words(missing, "and")),
            "`scxhost info` shows what this kernel can do; docs/kernel-support.md says which release has what");
    std::vector<std::string> notes;
    if (!avoided.empty())
        notes.push_back(fmt::format("does without {}, malformed in this kernel's BTF", list_words(avoided, "and")));
    return notes;
}

bool kernel_has(const FeatureDeclaration& feature, const KernelBtf& kernel) {
    switch (feature.what) {
    case FeatureDeclaration::What::kKfunc:
        return kernel.has_kfunc(feature.name) && !kernel.malformed_kfunc(feature.name);
    case FeatureDeclaration::What::kEnumerator:
        return kernel.enumerator(feature.name).has_value();
    case FeatureDeclaration::What::kMember: {
        const std::size_t dot = feature.name.find('.');
        return kernel.has_member(feature.name.substr(0, dot), feature.name.substr(dot + 1));
    }
    }
    return false;
}

void fill_enumerators(SchedulerObject& object, const KernelBtf& kernel) {
    for (const VariablePlace& variable : object.btf().variables()) {
        const std::string_view enumerator = kernel_enumerator(variable);
        if (enumerator.empty())
            continue;
        const std::span<std::byte> raw = object.variable_bytes(variable);
        const std::optional<std::uint64_t> value = kernel.enumerator(enumerator);
        if (value && raw.size() == sizeof *value)
            std::memcpy(raw.data(), &*value, sizeof *value);
    }
}

} // namespace

Result<> choose_form(SchedulerObject& object, const KernelBtf& kernel, bool is_branch) {
    const FeatureDeclaration* feature = object.declarations().form_feature();
    const bool wants_cid_form = feature == nullptr ? is_branch : kernel_has(*feature, kernel);
    if (!wants_cid_form || !kernel.has_struct(std::string(kCidOpsType)))
        return {};
    return object.take_cid_form();
}

Result<std::vector<std::string>> fit_to_kernel(SchedulerObject& object, const KernelBtf& kernel) {
    SCXHOST_TRY(check_form(object, kernel));
    SCXHOST_TRY(object.check_kernel_config());
    std::vector<std::string> notes = SCXHOST_TRY(check_kfuncs(object, kernel));

    for (const FeatureDeclaration& feature : object.declarations().features) {
        const std::span<std::byte> raw = object.variable_bytes(feature.variable);
        const bool present = kernel_has(feature, kernel);
        if (!raw.empty())
            raw[0] = std::byte{feature.chooses_cid_form ? object.ops_type_name() == kCidOpsType : present};
        if (!present && !feature.missing.empty())
            notes.push_back(feature.missing);
    }
    fill_enumerators(object, kernel);

    // Members that the kernel lacks: libbpf refuses to load an object that sets one.
    std::vector<std::string> cleared;
    for (const std::string& member : object.ops_members_set()) {
        if (kernel.has_member(std::string(object.ops_type_name()), member))
            continue;
        SCXHOST_TRY(object.clear_ops_member(member));
        cleared.push_back(member);
    }
    if (!cleared.empty())
        notes.push_back(
            fmt::format("this kernel's {} has no {}: not used", object.ops_type_name(), list_words(cleared, "and")));

    object.set_known_flags(kernel.enumerators_of("scx_ops_flags"));
    // Unknown flag bits are refused by the kernel with EINVAL.
    if (const std::optional<std::uint64_t> known = kernel.enumerator("SCX_OPS_ALL_FLAGS")) {
        const std::uint64_t flags = SCXHOST_TRY(object.ops_member("flags"));
        if ((flags & ~*known) != 0) {
            SCXHOST_TRY(object.set_ops_member("flags", flags & *known));
            notes.push_back(fmt::format("this kernel does not know the flags {:#x}: not used", flags & ~*known));
        }
    }
    return notes;
}

} // namespace scxhost
