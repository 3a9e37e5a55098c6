// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/attachment.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>

namespace scxhost {

Attachment::~Attachment() {
    if (link_ != nullptr || fd_ || id_ != 0)
        (void)detach();
}

Result<> Attachment::disable() {
    if (disabled_)
        return {};
    int error = 0;
    if (link_ != nullptr) {
        // bpf_link__destroy alone returns without detaching while some child process still holds a copy of the
        // descriptor.
        error = -bpf_link__detach(link_);
    } else if (fd_) {
        error = ::bpf_link_detach(fd_.get()) == 0 ? 0 : errno;
    } else if (id_ != 0) {
        // For this moment only: with a descriptor of ours the other process's end would not detach it.
        const UniqueFd link(::bpf_link_get_fd_by_id(id_));
        error = link && ::bpf_link_detach(link.get()) == 0 ? 0 : errno;
        if (!link && error == ENOENT)
            error = 0; // its owner has closed it
    }
    disabled_ = true;
    // ENOLINK: the kernel has ejected the scheduler and the link is dead already.
    if (error != 0 && error != ENOLINK)
        return fail_errno(ErrorKind::kAttach, "cannot detach the scheduler", error);
    return {};
}

void Attachment::close() {
    if (link_ != nullptr)
        bpf_link__destroy(std::exchange(link_, nullptr));
    fd_.reset();
    id_ = 0;
}

Result<> Attachment::detach() {
    const Result<> disabled = disable();
    close();
    return disabled;
}

Result<UniqueFd> Attachment::give_away() {
    bpf_link_info info{};
    __u32 size = sizeof info;
    if (::bpf_obj_get_info_by_fd(fd_.get(), &info, &size) != 0)
        return fail_errno(ErrorKind::kIo, "cannot read the id of the scheduler's link", errno);
    id_ = info.id;
    return std::move(fd_);
}

} // namespace scxhost
