// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/rcu_expediting.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace scxhost {
namespace {

bool is_number(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string read_text(int fd) {
    std::array<char, 32> buffer;
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), 0);
    std::string text(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    if (text.ends_with('\n'))
        text.pop_back();
    return text;
}

bool write_text(int fd, std::string_view text) {
    return ::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

} // namespace

Result<RcuExpediting> RcuExpediting::open(const std::filesystem::path& folder, const std::filesystem::path& path) {
    RcuExpediting result;
    result.setting_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!result.setting_)
        return fail_errno(errno == ENOENT   ? ErrorKind::kUnsupported
                          : errno == EACCES ? ErrorKind::kPermission
                                            : ErrorKind::kIo,
                          "cannot expedite RCU: " + path.string(), errno, "set swap.expedite_rcu = false");
    if (::access(folder.c_str(), W_OK) != 0)
        return fail_errno(ErrorKind::kIo,
                          "cannot expedite RCU without a folder to note the old value in: " + folder.string(), errno);
    result.note_ = folder / "rcu_expedited";
    return result;
}

Result<std::optional<std::string>> RcuExpediting::recover() {
    const UniqueFd note(::open(note_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!note) {
        if (errno == ENOENT)
            return std::nullopt;
        return fail_errno(ErrorKind::kIo, "cannot read " + note_.string(), errno);
    }
    std::string old = read_text(note.get());
    // An empty note: the host died before it raised anything.
    if (is_number(old) && !write_text(setting_.get(), old))
        return fail_errno(ErrorKind::kIo, "cannot put the RCU setting back to " + old, errno);
    ::unlink(note_.c_str());
    if (!is_number(old))
        return std::nullopt;
    return old;
}

bool RcuExpediting::raise() {
    old_value_ = read_text(setting_.get());
    if (old_value_ != "0")
        return false;
    // The note first: what is not noted is not raised.
    const UniqueFd note(::open(note_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!note || !write_text(note.get(), old_value_))
        return false;
    if (write_text(setting_.get(), "1"))
        return true;
    ::unlink(note_.c_str());
    return false;
}

void RcuExpediting::restore() {
    if (write_text(setting_.get(), old_value_))
        ::unlink(note_.c_str()); // else the next start tries again
}

} // namespace scxhost
