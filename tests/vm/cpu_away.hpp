// SPDX-License-Identifier: GPL-2.0-only
//
// CPU 1 is offline for as long as this lives.
#pragma once

#include "tests/vm/children.hpp"

namespace scxhost {

class CpuAway {
public:
    CpuAway() { write_text(kOnline, "0"); }
    ~CpuAway() { write_text(kOnline, "1"); }
    CpuAway(const CpuAway&) = delete;
    CpuAway& operator=(const CpuAway&) = delete;

private:
    static constexpr const char* kOnline = "/sys/devices/system/cpu/cpu1/online";
};

} // namespace scxhost
