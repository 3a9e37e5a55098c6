// SPDX-License-Identifier: GPL-2.0-only
//
// What workloads wake each other with.
#pragma once

#include "host/base/unique_fd.hpp"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace scxhost {

// Made before the processes that use it; each end may be used by any number of them. A failure ends the process that
// meets it: a workload that lost a byte measures nothing.
struct Pipe {
    UniqueFd read_end, write_end;

    Pipe() {
        int ends[2];
        if (::pipe(ends) != 0)
            throw std::runtime_error("no pipe");
        read_end = UniqueFd(ends[0]);
        write_end = UniqueFd(ends[1]);
    }
    void send() const {
        if (::write(write_end.get(), "x", 1) != 1)
            std::abort();
    }
    void receive() const {
        char byte;
        if (::read(read_end.get(), &byte, 1) != 1)
            std::abort();
    }
};

} // namespace scxhost
