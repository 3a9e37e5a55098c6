// SPDX-License-Identifier: GPL-2.0-only
//
// The configuration that a kernel was built with (CONFIG_HZ=250, …), as a file: BPF objects ask for values of it.
#pragma once

#include "host/base/result.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

struct KernelConfig {
    std::filesystem::path path; // where it was found
    std::string text;

    // The value of a line NAME=VALUE, as it stands there ("y", "250", "\"(none)\""); nullopt: not set.
    [[nodiscard]] std::optional<std::string_view> value(std::string_view name) const;
};

// Where distributions keep the file of this release, in the order of search; the last is the kernel's own, where it is
// built with CONFIG_IKCONFIG_PROC.
[[nodiscard]] std::vector<std::filesystem::path> kernel_config_places(std::string_view release);

// The first of them that is there, plain or compressed by gzip. Errors: kUnsupported when there is none; those of
// check_trusted(), since what it says decides what a scheduler does; kIo.
[[nodiscard]] Result<KernelConfig> find_kernel_config(const std::vector<std::filesystem::path>& places);

} // namespace scxhost
