// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/kconfig_values.hpp"

#include "host/base/suggest.hpp"
#include "host/bpf/btf_view.hpp"
#include "host/kernel/kernel_config.hpp"

#include <bpf/btf.h>
#include <elf.h>
#include <fmt/format.h>

#include <memory>
#include <span>
#include <string_view>

namespace scxhost {
namespace {

constexpr std::string_view kPrefix = "CONFIG_"; // others, as LINUX_KERNEL_VERSION, libbpf knows by itself
constexpr std::string_view kSection = ".kconfig";

struct BtfFree {
    void operator()(btf* types) const { btf__free(types); }
};

struct Wanted {
    std::string name;
    bool is_weak = false;
};

std::vector<Wanted> wanted_values(const ElfImage& object) {
    std::vector<Wanted> result;
    for (const ElfImage::Symbol& symbol : object.symbols(SHT_SYMTAB))
        if (symbol.section == SHN_UNDEF && symbol.name.starts_with(kPrefix))
            result.push_back({std::string(symbol.name), symbol.binding == STB_WEAK});
    return result;
}

// How a value that is not set is written, which depends on the variable's type.
std::string_view unset_value(const BtfView& types, std::string_view name) {
    for (const VariablePlace& variable : types.variables()) {
        if (variable.section != kSection || variable.name != name)
            continue;
        const std::optional<Storage> storage = types.storage(variable.type_id);
        if (storage && storage->kind == StorageKind::kText)
            return "\"\"";
        if (storage && storage->kind == StorageKind::kInteger && types.describe(variable.type_id) != "char")
            return "0";
    }
    return "n";
}

std::vector<std::string> names_of(const std::vector<Wanted>& values) {
    std::vector<std::string> names;
    for (const Wanted& value : values)
        names.push_back(value.name);
    return names;
}

} // namespace

KconfigValues read_kconfig_values(const ElfImage& object, const std::string& object_name,
                                  const std::vector<std::filesystem::path>& places) {
    const std::vector<Wanted> wanted = wanted_values(object);
    if (wanted.empty())
        return {};
    KconfigValues result;
    Result<KernelConfig> config = find_kernel_config(places);
    if (!config) {
        config.error().what = fmt::format("'{}' asks for {} of the kernel's configuration: {}", object_name,
                                          list_words(names_of(wanted), "and"), config.error().what);
        result.error = std::move(config).error();
        return result;
    }

    const ElfImage::Section* section = object.find(BTF_ELF_SEC);
    const std::span<const std::byte> raw =
        section == nullptr ? std::span<const std::byte>() : object.contents(*section);
    const std::unique_ptr<btf, BtfFree> types(btf__new(raw.data(), static_cast<std::uint32_t>(raw.size())));
    if (types == nullptr) // libbpf will say what is wrong with it
        return {};
    const BtfView view(types.get());
    std::vector<Wanted> missing;
    for (const Wanted& value : wanted) {
        const std::optional<std::string_view> found = config->value(value.name);
        if (!found && !value.is_weak)
            missing.push_back(value);
        result.text += fmt::format("{}={}\n", value.name, found.value_or(unset_value(view, value.name)));
    }
    if (!missing.empty())
        result.error = {.kind = ErrorKind::kUnsupported,
                        .what = fmt::format("'{}' needs {}, and {} does not set {}", object_name,
                                            list_words(names_of(missing), "and"), config->path.string(),
                                            missing.size() == 1 ? "it" : "them"),
                        .hint = "boot a kernel that is built with it; an object that can do without declares the value "
                                "__weak"};
    return result;
}

} // namespace scxhost
