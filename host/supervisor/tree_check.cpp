// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/tree_check.hpp"

#include <fmt/format.h>

#include <memory>

namespace scxhost {
namespace {

Result<> check_seat(const Config& root, std::optional<std::size_t> seat, const KernelBtf& kernel) {
    const Config config = seat ? branch_config(root, root.below[*seat]) : root;
    if (!config.scheduler.program.empty())
        return {};
    const std::unique_ptr<PreparedScheduler> scheduler = SCXHOST_TRY(PreparedScheduler::open(config));
    SCXHOST_TRY(scheduler->bind_options(config, &kernel));
    SCXHOST_TRY(scheduler->check_branch(config, &kernel));
    SCXHOST_TRY(scheduler->fit(kernel));
    return check_above(*scheduler, root, seat);
}

} // namespace

Result<> check_shape(const Config& root, const KernelBtf* kernel) {
    if (root.below.empty())
        return {};
    if (kernel != nullptr && !has_branches(*kernel))
        return fail(
            Error{.kind = ErrorKind::kUnsupported,
                  .what = fmt::format("there can be no branch \"{}\": {}", root.below.front().branch.name, kNoBranches),
                  .hint = std::string(kWithoutBranches),
                  .where = root.below.front().where("below")});
    for (std::size_t i = 0; i < root.below.size(); ++i) {
        std::size_t depth = 1;
        for (std::optional<std::size_t> above = find_branch_above(root.below, i); above;
             above = find_branch_above(root.below, *above))
            ++depth;
        if (depth > kMaxBranchDepth)
            return fail(
                Error{.kind = ErrorKind::kUnsupported,
                      .what = fmt::format("the branch \"{}\" is {} levels below the root, and the kernel has {}",
                                          root.below[i].branch.name, depth, kMaxBranchDepth),
                      .hint = "leave out a branch above it",
                      .where = root.below[i].where("below.cgroup")});
    }
    return {};
}

Result<> check_above(const PreparedScheduler& scheduler, const Config& root, std::optional<std::size_t> seat) {
    if (scheduler.takes_branches())
        return {};
    for (std::size_t i = 0; i < root.below.size(); ++i)
        if (find_branch_above(root.below, i) == seat)
            return fail(
                Error{.kind = ErrorKind::kUnsupported,
                      .what = fmt::format("the branch \"{}\" would be below {}, which takes no schedulers below "
                                          "it (it has no sub_attach)",
                                          root.below[i].branch.name, scheduler.facts().name),
                      .hint = "choose one above it that does, qmap for example",
                      .where = root.below[i].where("below")});
    return {};
}

Result<> check_tree(const Config& root, const KernelBtf& kernel) {
    if (root.below.empty())
        return {};
    SCXHOST_TRY(check_shape(root, &kernel));
    SCXHOST_TRY(check_seat(root, std::nullopt, kernel));
    for (std::size_t i = 0; i < root.below.size(); ++i)
        SCXHOST_TRY(check_seat(root, i, kernel));
    return {};
}

} // namespace scxhost
