// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/sched_ext_sysfs.hpp"

#include "host/base/unique_fd.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

namespace scxhost {
namespace {

constexpr std::array<std::pair<SchedExtState, std::string_view>, 4> kStates = {{
    {SchedExtState::kEnabling, "enabling"},
    {SchedExtState::kEnabled, "enabled"},
    {SchedExtState::kDisabling, "disabling"},
    {SchedExtState::kDisabled, "disabled"},
}};

SchedExtState parse_state(std::string_view text) {
    for (const auto& [state, word] : kStates)
        if (word == text)
            return state;
    return SchedExtState::kUnknown;
}

// The whole file without the newline at its end. A missing file is nullopt: the root scheduler's folder goes away at
// any moment, between open and read too (ENODEV).
Result<std::optional<std::string>> read_optional(const std::filesystem::path& path, int folder = AT_FDCWD) {
    const UniqueFd fd(::openat(folder, path.c_str(), O_RDONLY | O_CLOEXEC));
    int error = fd ? 0 : errno;
    std::string text;
    while (error == 0) {
        std::array<char, 4096> chunk;
        const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
        if (got == 0)
            break;
        if (got > 0)
            text.append(chunk.data(), static_cast<std::size_t>(got));
        else if (errno != EINTR)
            error = errno;
    }
    if (error == ENOENT || error == ENODEV)
        return std::nullopt;
    if (error != 0)
        return fail_errno(error == EACCES ? ErrorKind::kPermission : ErrorKind::kIo, "cannot read " + path.string(),
                          error);
    if (text.ends_with('\n'))
        text.pop_back();
    return text;
}

template <typename Integer>
bool parse_number(std::string_view text, Integer& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

// A file that a newer kernel may have and this one may not counts as 0.
Result<std::uint64_t> read_number(const std::filesystem::path& path) {
    const auto text = SCXHOST_TRY(read_optional(path));
    std::uint64_t value = 0;
    if (text && !parse_number(*text, value))
        return fail(ErrorKind::kIo, path.string() + " holds \"" + *text + "\" where a number was expected");
    return value;
}

// Lines of "NAME VALUE"; a line of another form is left out.
SchedExtEvents parse_events(std::string_view text) {
    SchedExtEvents events;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::size_t space = line.find(' ');
        std::int64_t value = 0;
        if (space != std::string_view::npos && parse_number(line.substr(space + 1), value))
            events.emplace(line.substr(0, space), value);
    }
    return events;
}

// Lines of "NAME: LIST".
SchedExtCaps parse_caps(std::string_view text) {
    SchedExtCaps caps;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos)
            continue;
        const std::string_view list = line.substr(colon + 1);
        caps.emplace(line.substr(0, colon), list.substr(std::min(list.find_first_not_of(' '), list.size())));
    }
    return caps;
}

} // namespace

std::string_view to_string(SchedExtState state) {
    for (const auto& [known, word] : kStates)
        if (known == state)
            return word;
    return "unknown";
}

SchedExtSysfs::SchedExtSysfs(std::filesystem::path root)
    : root_(std::move(root)) {}

bool SchedExtSysfs::present() const {
    std::error_code ignored;
    return std::filesystem::exists(root_ / "state", ignored);
}

Result<SchedExtStatus> SchedExtSysfs::snapshot() const {
    SchedExtStatus status;
    status.ops = SCXHOST_TRY(read_optional(root_ / "root/ops"));
    status.events = events();
    status.enable_seq = SCXHOST_TRY(read_number(root_ / "enable_seq"));
    status.nr_rejected = SCXHOST_TRY(read_number(root_ / "nr_rejected"));
    status.hotplug_seq = SCXHOST_TRY(read_number(root_ / "hotplug_seq"));
    status.switch_all = SCXHOST_TRY(read_number(root_ / "switch_all")) != 0;

    auto state = SCXHOST_TRY(read_optional(root_ / "state"));
    if (!state)
        return fail(ErrorKind::kUnsupported, "this kernel has no sched_ext (" + root_.string() + " is missing)",
                    "boot a kernel that is built with CONFIG_SCHED_CLASS_EXT=y, and mount sysfs at /sys");
    status.state = parse_state(*state);
    status.state_text = *std::move(state);
    return status;
}

namespace {

// One short line of a file into the buffer; its text without the newline, empty on failure.
std::string_view read_line(int fd, std::span<char> buffer) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), 0);
    std::string_view text(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    return text;
}

UniqueFd open_folder(int folder, const char* name) {
    return UniqueFd(::openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// The folder of the sub-scheduler of a cgroup, among those below `scheduler` and below these (7.3.4: each scheduler has
// its children in the folder "sub", as "sub-CGROUP").
UniqueFd find_sub_scheduler(const UniqueFd& scheduler, std::uint64_t cgroup) {
    UniqueFd children = open_folder(scheduler.get(), "sub");
    if (!children)
        return {};
    std::array<char, 32> name{"sub-"};
    std::to_chars(name.data() + 4, name.data() + name.size() - 1, cgroup);
    if (UniqueFd found = open_folder(children.get(), name.data()))
        return found;

    // On the stack: this is part of a confirmation in the swap window.
    alignas(dirent64) std::array<char, 1024> entries;
    for (;;) {
        const ssize_t got = ::getdents64(children.get(), entries.data(), entries.size());
        if (got <= 0)
            break;
        for (ssize_t at = 0; at < got;) {
            const auto* entry = reinterpret_cast<const dirent64*>(entries.data() + at);
            at += entry->d_reclen;
            if (std::string_view(entry->d_name).starts_with("sub-"))
                if (UniqueFd found = find_sub_scheduler(open_folder(children.get(), entry->d_name), cgroup))
                    return found;
        }
    }
    return {};
}

Result<UniqueFd> open_in(const UniqueFd& folder, const std::filesystem::path& root, const char* name) {
    UniqueFd fd(::openat(folder.get(), name, O_RDONLY | O_CLOEXEC));
    if (!fd)
        return fail_errno(errno == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                          "cannot read " + (root / name).string(), errno);
    return fd;
}

} // namespace

// Empty: there is no such scheduler, or no such file of it.
std::string SchedExtSysfs::read_of_scheduler(std::uint64_t sub_cgroup, const char* file) const {
    UniqueFd scheduler(::open((root_ / "root").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (sub_cgroup != 0 && scheduler)
        scheduler = find_sub_scheduler(scheduler, sub_cgroup);
    if (!scheduler)
        return {};
    const Result<std::optional<std::string>> text = read_optional(file, scheduler.get());
    return text ? text->value_or("") : "";
}

SchedExtEvents SchedExtSysfs::events(std::uint64_t sub_cgroup) const {
    return parse_events(read_of_scheduler(sub_cgroup, "events"));
}

SchedExtCaps SchedExtSysfs::caps(std::uint64_t sub_cgroup) const {
    return parse_caps(read_of_scheduler(sub_cgroup, "caps"));
}

Result<SchedExtProbe> SchedExtProbe::open(const std::filesystem::path& root) {
    SchedExtProbe probe;
    probe.folder_ = UniqueFd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!probe.folder_)
        return fail_errno(ErrorKind::kUnsupported, "cannot open " + root.string(), errno);
    probe.state_ = SCXHOST_TRY(open_in(probe.folder_, root, "state"));
    probe.enable_seq_ = SCXHOST_TRY(open_in(probe.folder_, root, "enable_seq"));
    if (Result<UniqueFd> hotplug = open_in(probe.folder_, root, "hotplug_seq"))
        probe.hotplug_seq_ = *std::move(hotplug);
    return probe;
}

SchedExtProbe::Reading SchedExtProbe::read(std::uint64_t sub_cgroup) const {
    UniqueFd below;
    return read(sub_cgroup, below);
}

SchedExtProbe::Reading SchedExtProbe::read(std::uint64_t sub_cgroup, UniqueFd& below) const {
    Reading reading;
    // A scheduler's folder comes and goes with it.
    if (sub_cgroup != 0 && !below)
        below = find_sub_scheduler(open_folder(folder_.get(), "root"), sub_cgroup);
    const int place = sub_cgroup == 0 ? folder_.get() : below.get();
    if (const UniqueFd ops(::openat(place, sub_cgroup == 0 ? "root/ops" : "ops", O_RDONLY | O_CLOEXEC)); ops) {
        const std::string_view name = read_line(ops.get(), std::span(reading.ops).first(reading.ops.size() - 1));
        reading.ops[name.size()] = '\0';
    }
    std::array<char, 32> buffer;
    parse_number(read_line(enable_seq_.get(), buffer), reading.enable_seq);
    reading.state = parse_state(read_line(state_.get(), buffer));
    return reading;
}

std::uint64_t SchedExtProbe::hotplug_seq() const {
    std::array<char, 32> buffer;
    std::uint64_t value = 0;
    if (hotplug_seq_)
        parse_number(read_line(hotplug_seq_.get(), buffer), value);
    return value;
}

} // namespace scxhost
