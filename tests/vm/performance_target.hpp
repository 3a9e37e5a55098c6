// SPDX-License-Identifier: GPL-2.0-only
//
// What schedulers have asked of a CPU's performance, read with performance.bpf.o.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>

namespace scxhost {

// How fast a CPU is to be, as the kernel keeps it (0 to 1024).
class PerformanceTarget {
public:
    PerformanceTarget()
        : object_(::bpf_object__open_file("/root/performance.bpf.o", nullptr)) {
        if (object_ == nullptr || ::bpf_object__load(object_) != 0)
            throw std::runtime_error("performance.bpf.o cannot be loaded");
    }
    PerformanceTarget(const PerformanceTarget&) = delete;
    PerformanceTarget& operator=(const PerformanceTarget&) = delete;
    ~PerformanceTarget() { ::bpf_object__close(object_); }

    [[nodiscard]] int of(std::uint64_t cpu) const {
        LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &cpu, .ctx_size_in = sizeof cpu);
        const int program = ::bpf_program__fd(::bpf_object__find_program_by_name(object_, "performance_target"));
        EXPECT_EQ(::bpf_prog_test_run_opts(program, &options), 0);
        return static_cast<int>(options.retval);
    }

private:
    bpf_object* object_;
};

} // namespace scxhost
