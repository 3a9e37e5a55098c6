// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin library as a file: who it is and which BPF object it carries, read without running any of its code. A
// dlopen would run constructors as root before a single check was made.
#pragma once

#include "host/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace scxhost {

struct ContractVersion {
    std::uint16_t major = 0;
    std::uint16_t minor = 0;
    friend bool operator==(const ContractVersion&, const ContractVersion&) = default;
};

// The contract that this host was built with.
ContractVersion host_contract();
std::string to_string(ContractVersion version);

struct PluginInfo {
    std::string name;
    std::string version;
    std::string summary;
    std::string struct_ops; // empty: the object's only one
    ContractVersion contract;
};

struct PluginFile {
    std::filesystem::path path;
    PluginInfo info;
    std::vector<std::byte> object; // the BPF object's bytes
    std::vector<std::byte> bytes;  // the whole file: what was checked is what is loaded
};

// Reads a plugin from its library file. Errors (kPlugin unless said otherwise): unreadable (kIo), no ELF shared
// library, no plugin of ours, made for a contract that this host does not speak (both versions are named), damaged, of
// another name than `name` (empty: the file's, without ".so").
Result<PluginFile> read_plugin_file(const std::filesystem::path& path, const std::string& name = {});

// The same on bytes in memory; `path` is for messages and for the name check.
Result<PluginFile> parse_plugin_file(const std::filesystem::path& path, std::vector<std::byte> bytes,
                                     const std::string& name = {});

} // namespace scxhost
