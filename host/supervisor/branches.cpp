// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/branches.hpp"

#include "host/kernel/cgroup.hpp"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ranges>
#include <utility>

namespace scxhost {
namespace {

std::filesystem::path folder_of(const std::string& cgroup) {
    return std::filesystem::path(std::string(kCgroupRoot) + cgroup);
}

bool is_below(const Seat& branch, const Seat& seat) {
    for (const Seat* above = branch.place().above; above != nullptr; above = above->place().above)
        if (above == &seat)
            return true;
    return false;
}

} // namespace

Branches::Branches(SeatServices services, SeatListener& listener, const Seat& machine)
    : services_(services)
    , listener_(listener)
    , machine_(machine)
    , inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

// The lower ones first: they refer to those above them.
Branches::~Branches() {
    while (!branches_.empty())
        branches_.pop_back();
}

void Branches::follow(const Config& root) {
    const bool was_looking = std::exchange(looking_, true); // not at half of them
    // What stays is where it was, below the same one, which stays as well.
    std::vector<bool> stays(root.below.size());
    const auto above = [&root](std::size_t index) { return find_branch_above(root.below, index); };
    for (std::size_t i = 0; i < root.below.size(); ++i) {
        const Branch* old = find_branch(root.below[i].branch.name);
        const std::string& above_name = above(i) ? root.below[*above(i)].branch.name : machine_.name();
        stays[i] = old != nullptr && old->config.branch.cgroup == root.below[i].branch.cgroup &&
                   old->seat->place().above->name() == above_name && (!above(i) || stays[*above(i)]);
    }
    const auto is_kept = [&](const Branch& branch) {
        for (std::size_t i = 0; i < root.below.size(); ++i)
            if (stays[i] && root.below[i].branch.name == branch.config.branch.name)
                return true;
        return false;
    };
    for (std::size_t i = branches_.size(); i-- > 0;) {
        if (is_kept(*branches_[i]))
            continue;
        end(*branches_[i]);
        branches_.erase(branches_.begin() + static_cast<std::ptrdiff_t>(i));
    }

    for (std::size_t i = 0; i < root.below.size(); ++i) {
        const Config& own = root.below[i];
        if (!stays[i]) {
            const Seat* seat = above(i) ? find(root.below[*above(i)].branch.name) : &machine_;
            begin(root, own, *seat);
            continue;
        }
        Branch& branch = *find_branch(own.branch.name);
        branch.config = branch_config(root, own);
        branch.due = branch_text(own) != std::exchange(branch.text, branch_text(own)) || branch.due;
    }
    // New ones may be above others, though never above one that stays.
    std::ranges::sort(branches_, {}, [](const auto& branch) {
        return std::pair(std::ranges::count(branch->config.branch.cgroup, '/'), branch->config.branch.cgroup);
    });
    watch_cgroups();
    looking_ = was_looking;
    look_at_places();
}

void Branches::begin(const Config& root, const Config& own, const Seat& above) {
    auto branch = std::make_unique<Branch>();
    branch->config = branch_config(root, own);
    branch->text = branch_text(own);
    make_cgroup(*branch);
    branch->seat = std::make_unique<Seat>(
        SeatPlace{.name = own.branch.name, .cgroup = own.branch.cgroup, .above = &above}, services_, listener_);
    Branch& begun = *branches_.emplace_back(std::move(branch));
    begun.seat->start(begun.config);
}

void Branches::end(Branch& branch) {
    branch.seat->end();
    remove_cgroups(branch);
    if (branch.seat->is_preparing())
        ended_.push_back(std::move(branch.seat));
}

// With those above it that are missing too.
void Branches::make_cgroup(Branch& branch) {
    if (!branch.config.branch.create)
        return;
    std::filesystem::path folder(kCgroupRoot);
    for (const std::filesystem::path& part : std::filesystem::path(branch.config.branch.cgroup).relative_path()) {
        folder /= part;
        if (::mkdir(folder.c_str(), 0755) == 0) {
            branch.made.push_back(folder);
        } else if (errno != EEXIST) {
            Error error = fail_errno(ErrorKind::kIo, fmt::format("cannot make the cgroup {}", folder.string()), errno,
                                     "make it yourself: the branch waits for it")
                              .error();
            error.where = branch.config.where("below.create");
            return listener_.on_seat_warning(error);
        }
    }
}

// What is in use stays.
void Branches::remove_cgroups(Branch& branch) {
    for (const std::filesystem::path& folder : branch.made | std::views::reverse)
        (void)::rmdir(folder.c_str());
    branch.made.clear();
}

void Branches::look_at_places() {
    look_again_ = true;
    if (std::exchange(looking_, true))
        return; // it is being done; each change has another look follow
    while (std::exchange(look_again_, false))
        look();
    looking_ = false;
}

void Branches::look() {
    std::erase_if(ended_, [](const auto& seat) { return !seat->is_preparing(); });
    for (const auto& branch : branches_)
        branch->seat->look_at_place();
    ask_for_due();
}

void Branches::ask_for_due() {
    for (const auto& branch : branches_) {
        if (!branch->due || branch->seat->pending())
            continue;
        branch->due = false;
        const Result<> asked = branch->seat->request(branch->config, false, {});
        branch->due = !asked && asked.error().kind == ErrorKind::kBusy;
        if (!asked && !branch->due)
            listener_.on_seat_error(*branch->seat, asked.error());
    }
}

void Branches::lose_places_below(const Seat& seat) {
    for (const auto& branch : branches_ | std::views::reverse)
        if (is_below(*branch->seat, seat))
            branch->seat->lose_place();
}

bool Branches::run_below(const Seat& seat) const {
    return std::ranges::any_of(
        branches_, [&seat](const auto& branch) { return branch->seat->is_running() && is_below(*branch->seat, seat); });
}

void Branches::check_kernel() {
    for (const auto& branch : branches_)
        branch->seat->check_kernel();
    look_at_places();
}

bool Branches::can_hang() const {
    return std::ranges::any_of(branches_, [](const auto& branch) { return branch->seat->can_hang(); });
}

void Branches::check_hang() {
    for (const auto& branch : branches_)
        branch->seat->check_hang();
}

void Branches::detach() {
    for (const auto& branch : branches_ | std::views::reverse)
        branch->seat->detach();
    for (const auto& branch : branches_ | std::views::reverse)
        remove_cgroups(*branch); // which may be above others
}

void Branches::watch_cgroups() {
    if (!inotify_)
        return;
    PathWatches now;
    for (const auto& branch : branches_) {
        PathWatches of_one = watch_path(inotify_.get(), folder_of(branch->config.branch.cgroup));
        for (auto& [watch, names] : of_one.names)
            now.names[watch].merge(names);
        if (of_one.error && !watches_.error)
            listener_.on_seat_warning(*of_one.error);
        if (of_one.error)
            now.error = std::move(of_one.error);
    }
    drop_old_watches(inotify_.get(), watches_, now);
    watches_ = std::move(now);
    if (branches_.empty() || watch_)
        return;
    if (Result<EventLoop::Watch> watch = services_.loop.watch(inotify_.get(), {}, [this] { read_inotify(); }))
        watch_ = *std::move(watch);
    else
        listener_.on_seat_warning(watch.error());
}

void Branches::read_inotify() {
    alignas(inotify_event) std::array<char, 4096> buffer;
    bool concerned = false;
    for (ssize_t got = 0; (got = ::read(inotify_.get(), buffer.data(), buffer.size())) > 0;) {
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            at += sizeof *event + event->len;
            concerned = concerned || watches_.concerns(*event);
        }
    }
    if (!concerned)
        return;
    watch_cgroups();
    look_at_places();
}

Branches::Branch* Branches::find_branch(std::string_view name) const {
    for (const auto& branch : branches_)
        if (branch->config.branch.name == name)
            return branch.get();
    return nullptr;
}

Seat* Branches::find(std::string_view name) const {
    const Branch* branch = find_branch(name);
    return branch == nullptr ? nullptr : branch->seat.get();
}

const Config* Branches::configured(std::string_view name) const {
    const Branch* branch = find_branch(name);
    return branch == nullptr ? nullptr : &branch->config;
}

std::vector<const Seat*> Branches::seats() const {
    std::vector<const Seat*> seats;
    for (const auto& branch : branches_)
        seats.push_back(branch->seat.get());
    return seats;
}

} // namespace scxhost
