// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin_file.hpp"

#include "host/base/elf_image.hpp"
#include "host/base/regular_file.hpp"
#include <scxhost/plugin.h>

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace scxhost {
namespace {

// A plugin with a large BPF object is a few hundred kilobytes; with debug information a few megabytes.
constexpr std::size_t kMaxPluginBytes = 64U << 20U;

constexpr std::string_view kNotOurs = "build it with scx_add_plugin(), or run a bare BPF object with 'object = \"…\"'";

// A text in a fixed array, if it is terminated within it.
template <std::size_t N>
std::optional<std::string> bounded(const char (&array)[N]) {
    const void* end = std::memchr(array, '\0', N);
    if (end == nullptr)
        return std::nullopt;
    return std::string(array, static_cast<const char*>(end));
}

bool is_plain_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

Result<PluginInfo> parse_info(std::span<const std::byte> section) {
    const auto damaged = [](std::string_view why) {
        return fail(ErrorKind::kPlugin, fmt::format("its plugin information is damaged: {}", why),
                    "rebuild the plugin");
    };
    // Size and contract come first and keep their places in every version; the rest is read only when they are right.
    scxhost_plugin_info raw{};
    constexpr std::size_t kFixedHead = offsetof(scxhost_plugin_info, name);
    if (section.size() < kFixedHead)
        return damaged("too short");
    std::memcpy(&raw, section.data(), kFixedHead);
    if (std::memcmp(raw.magic, SCXHOST_INFO_MAGIC, sizeof raw.magic) != 0)
        return damaged("wrong magic");

    const ContractVersion contract{raw.contract_major, raw.contract_minor};
    const ContractVersion host = host_contract();
    if (contract.major != host.major || contract.minor > host.minor)
        return fail(ErrorKind::kPlugin,
                    fmt::format("it was built for plugin contract {}, this host speaks {}", to_string(contract),
                                to_string(host)),
                    contract.major > host.major || (contract.major == host.major && contract.minor > host.minor)
                        ? "use a newer scxhost, or rebuild the plugin against this host's SDK"
                        : "rebuild the plugin against this host's SDK");

    if (raw.size < sizeof raw || raw.size > section.size())
        return damaged(fmt::format("it says it has {} bytes; {} are needed and {} are there", raw.size, sizeof raw,
                                   section.size()));
    std::memcpy(&raw, section.data(), sizeof raw);
    const std::span<const std::byte> tail = section.subspan(sizeof raw, raw.size - sizeof raw);
    if (std::ranges::any_of(tail, [](std::byte b) { return b != std::byte{0}; }))
        return damaged("it uses fields that this host does not know");
    if (raw.capabilities != 0)
        return fail(ErrorKind::kPlugin,
                    fmt::format("it asks for capabilities {:#x}, which this host does not have", raw.capabilities),
                    "use a newer scxhost");

    const std::optional<std::string> name = bounded(raw.name);
    const std::optional<std::string> version = bounded(raw.version);
    const std::optional<std::string> summary = bounded(raw.summary);
    const std::optional<std::string> struct_ops = bounded(raw.struct_ops);
    if (!name || !version || !summary || !struct_ops)
        return damaged("a text is not terminated");
    if (!is_plain_name(*name))
        return damaged("its name may hold letters, digits, '_' and '-' only");
    return PluginInfo{*name, *version, *summary, *struct_ops, contract};
}

// What else a library exports may replace what the host or another library means, and keeps it from being unloaded when
// it is one of the symbols that must be unique in a process (STB_GNU_UNIQUE).
Result<> check_exports(const ElfImage& image) {
    std::vector<std::string> exported;
    for (const ElfImage::Symbol& symbol : image.symbols(SHT_DYNSYM))
        if (symbol.section != SHN_UNDEF && symbol.binding != STB_LOCAL)
            exported.emplace_back(symbol.name);
    if (std::ranges::find(exported, SCXHOST_PLUGIN_ENTRY) == exported.end())
        return fail(ErrorKind::kPlugin, fmt::format("it does not export {}()", SCXHOST_PLUGIN_ENTRY),
                    "build it with scx_add_plugin()");
    const auto other =
        std::ranges::find_if(exported, [](const std::string& name) { return name != SCXHOST_PLUGIN_ENTRY; });
    if (other != exported.end())
        return fail(ErrorKind::kPlugin,
                    fmt::format("it exports {}; a plugin exports {}() and nothing else", *other, SCXHOST_PLUGIN_ENTRY),
                    "build it with scx_add_plugin(), which hides the rest");
    return {};
}

} // namespace

ContractVersion host_contract() {
    return {SCXHOST_CONTRACT_MAJOR, SCXHOST_CONTRACT_MINOR};
}

std::string to_string(ContractVersion version) {
    return fmt::format("{}.{}", version.major, version.minor);
}

Result<PluginFile> parse_plugin_file(const std::filesystem::path& path, std::vector<std::byte> bytes,
                                     const std::string& name) {
    // Every refusal names the file; the inner functions only say what is wrong with it.
    const auto refuse = [&](Error error) {
        error.what = fmt::format("{} is not a usable plugin: {}", path.string(), error.what);
        error.kind = ErrorKind::kPlugin;
        return fail(std::move(error));
    };
    Result<ElfImage> image = ElfImage::parse(std::move(bytes));
    if (!image)
        return refuse(std::move(image).error());
    if (image->machine() == EM_BPF)
        return refuse({.what = "it is a BPF object, not a shared library",
                       .hint = "run it with 'object = \"…\"' in place of 'plugin = \"…\"'"});
    if (image->type() != ET_DYN)
        return refuse({.what = "it is no shared library", .hint = std::string(kNotOurs)});
    const ElfImage::Section* info_section = image->find(SCXHOST_INFO_SECTION);
    const ElfImage::Section* object_section = image->find(SCXHOST_OBJECT_SECTION);
    if (info_section == nullptr || object_section == nullptr)
        return refuse({.what = fmt::format("it has no {} section",
                                           info_section == nullptr ? SCXHOST_INFO_SECTION : SCXHOST_OBJECT_SECTION),
                       .hint = std::string(kNotOurs)});

    Result<PluginInfo> info = parse_info(image->contents(*info_section));
    if (!info)
        return refuse(std::move(info).error());
    if (info->name != (name.empty() ? path.stem().string() : name))
        return refuse({.what = fmt::format("it calls itself '{}', which differs from the file's name", info->name),
                       .hint = fmt::format("name the file {}.so", info->name)});
    if (Result<> exports = check_exports(*image); !exports)
        return refuse(std::move(exports).error());
    const std::span<const std::byte> object = image->contents(*object_section);
    PluginFile file{path, *std::move(info), {object.begin(), object.end()}, {}};
    file.bytes = std::move(*image).release();
    return file;
}

Result<PluginFile> read_plugin_file(const std::filesystem::path& path, const std::string& name) {
    return parse_plugin_file(path, SCXHOST_TRY(read_binary_file(path, kMaxPluginBytes, "plugin")), name);
}

} // namespace scxhost
