// SPDX-License-Identifier: GPL-2.0-only
//
// The values of the kernel's configuration that an object asks for (`extern int CONFIG_HZ __kconfig`). libbpf looks for
// the file in two places only, and does not say what it wanted it for; the host looks where distributions keep it.
#pragma once

#include "host/base/elf_image.hpp"
#include "host/base/result.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace scxhost {

struct KconfigValues {
    // The lines that the object needs, for libbpf; empty when it asks for none. What is declared __weak and not set has
    // a line that says so, since libbpf would look for the file again.
    std::string text;
    // What keeps the object from being loaded: kUnsupported when there is no file, or a value is not set that the
    // object cannot do without.
    std::optional<Error> error;
};

// `places`: where to look for the kernel's configuration. No file is read unless the object asks for a value.
[[nodiscard]] KconfigValues read_kconfig_values(const ElfImage& object, const std::string& object_name,
                                                const std::vector<std::filesystem::path>& places);

} // namespace scxhost
