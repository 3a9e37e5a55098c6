// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/kernel_release.hpp"

#include <sys/utsname.h>

namespace scxhost {

std::string kernel_release() {
    struct utsname name = {};
    return ::uname(&name) == 0 ? name.release : "unknown";
}

} // namespace scxhost
