// SPDX-License-Identifier: GPL-2.0-only
//
// A struct_ops link: while it exists and the kernel did not eject the scheduler, the scheduler is attached. The
// descriptor never signals an ejection.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"

#include <cstdint>
#include <utility>

struct bpf_link;

namespace scxhost {

// Of an object of this process, by libbpf's link; or of another process's, by a descriptor, and from give_away() on by
// the link's id alone.
class Attachment {
public:
    explicit Attachment(bpf_link* link)
        : link_(link) {}
    explicit Attachment(UniqueFd link)
        : fd_(std::move(link)) {}
    Attachment(Attachment&& other) noexcept { *this = std::move(other); }
    Attachment& operator=(Attachment&& other) noexcept {
        std::swap(link_, other.link_);
        std::swap(fd_, other.fd_);
        std::swap(id_, other.id_);
        std::swap(disabled_, other.disabled_);
        return *this;
    }
    ~Attachment();

    // Waits until the kernel has disabled the scheduler. Disabling one that the kernel has ejected, or whose link is
    // gone, is no error. The object cannot be attached again before close(), which may so be left until after the swap
    // window.
    Result<> disable();
    void close();
    // Both; closed in any case.
    Result<> detach();

    // The descriptor, which is no longer the attachment's: who gets it holds the scheduler, and its end detaches. For
    // an attachment that was made of a descriptor. Errors: kIo.
    Result<UniqueFd> give_away();

private:
    bpf_link* link_ = nullptr;
    UniqueFd fd_;
    std::uint32_t id_ = 0; // of a link that was given away
    bool disabled_ = false;
};

} // namespace scxhost
