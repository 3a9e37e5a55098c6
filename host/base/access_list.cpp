// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/access_list.hpp"

#include <endian.h>
#include <fmt/format.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <vector>

namespace scxhost {
namespace {

constexpr const char* kAttribute = "system.posix_acl_access";

// What the kernel reads (include/uapi/linux/posix_acl_xattr.h): a version, then entries, all little-endian. Entries
// come in the order of their tags; users and groups in that of their ids, as acl(5) wants it.
class List {
public:
    List() { put(posix_acl_xattr_header{.a_version = htole32(POSIX_ACL_XATTR_VERSION)}); }

    void add(unsigned tag, unsigned permissions, std::uint32_t id = static_cast<std::uint32_t>(ACL_UNDEFINED_ID)) {
        put(posix_acl_xattr_entry{.e_tag = htole16(static_cast<std::uint16_t>(tag)),
                                  .e_perm = htole16(static_cast<std::uint16_t>(permissions)),
                                  .e_id = htole32(id)});
    }

    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

private:
    void put(const auto& part) {
        const auto added = std::as_bytes(std::span(&part, 1));
        bytes_.insert(bytes_.end(), added.begin(), added.end());
    }

    std::vector<std::byte> bytes_;
};

template <typename Id>
std::vector<Id> sorted_once(std::span<const Id> ids) {
    std::vector<Id> sorted(ids.begin(), ids.end());
    std::ranges::sort(sorted);
    sorted.erase(std::ranges::unique(sorted).begin(), sorted.end());
    return sorted;
}

} // namespace

Result<> let_in(const std::filesystem::path& file, std::span<const uid_t> users, std::span<const gid_t> groups,
                bool its_group) {
    constexpr unsigned kReadWrite = ACL_READ | ACL_WRITE;
    List list;
    list.add(ACL_USER_OBJ, kReadWrite);
    for (const uid_t user : sorted_once(users))
        list.add(ACL_USER, kReadWrite, user);
    list.add(ACL_GROUP_OBJ, its_group ? kReadWrite : 0);
    for (const gid_t group : sorted_once(groups))
        list.add(ACL_GROUP, kReadWrite, group);
    list.add(ACL_MASK, kReadWrite);
    list.add(ACL_OTHER, 0);
    if (::setxattr(file.c_str(), kAttribute, list.bytes().data(), list.bytes().size(), 0) == 0)
        return {};
    if (errno == EOPNOTSUPP)
        return fail(ErrorKind::kUnsupported,
                    fmt::format("the file system of {} keeps no access control lists (ACLs), without which only its "
                                "owner and its group get to it",
                                file.string()),
                    "use one that does: most do, tmpfs among them where the kernel has CONFIG_TMPFS_POSIX_ACL");
    return fail_errno(errno == EPERM || errno == EACCES ? ErrorKind::kPermission : ErrorKind::kIo,
                      fmt::format("cannot set the access control list of {}", file.string()), errno);
}

} // namespace scxhost
