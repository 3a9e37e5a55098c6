// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin_library.hpp"

#include "host/base/memory_file.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace scxhost {
namespace {

constexpr std::uint32_t kMaxTableBytes = 4096; // far more than any contract of this major will need

bool is_zero(const void* bytes, std::size_t from, std::size_t to) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    return std::all_of(at + from, at + to, [](unsigned char byte) { return byte == 0; });
}

// Copies a plugin's callback table, which may be older and shorter than ours.
Result<scxhost_plugin_callbacks> copy_callbacks(const scxhost_plugin_callbacks* table) {
    scxhost_plugin_callbacks result{};
    if (table == nullptr)
        return result;
    // A size within a pointer would let half of it be called.
    if (table->size < offsetof(scxhost_plugin_callbacks, create) || table->size > kMaxTableBytes ||
        table->size % alignof(scxhost_plugin_callbacks) != 0)
        return fail(ErrorKind::kPlugin, fmt::format("its table of callbacks says it has {} bytes", table->size),
                    "rebuild the plugin");
    if (table->size > sizeof result && !is_zero(table, sizeof result, table->size))
        return fail(ErrorKind::kPlugin, "its table has callbacks that this host does not know", "use a newer scxhost");
    std::memcpy(&result, table, std::min<std::size_t>(table->size, sizeof result));
    return result;
}

Result<const scxhost_plugin_descriptor*> read_descriptor(boost::dll::shared_library& library, const PluginFile& file) {
    if (!library.has(SCXHOST_PLUGIN_ENTRY))
        return fail(ErrorKind::kPlugin, fmt::format("it does not export {}()", SCXHOST_PLUGIN_ENTRY),
                    "build it with scx_add_plugin()");
    const auto entry = library.get<const scxhost_plugin_descriptor*()>(SCXHOST_PLUGIN_ENTRY);
    const scxhost_plugin_descriptor* descriptor = nullptr;
    try {
        descriptor = entry();
    } catch (const abi::__forced_unwind&) {
        throw;
    } catch (...) {
        return fail(ErrorKind::kPlugin, fmt::format("it let an exception escape from {}()", SCXHOST_PLUGIN_ENTRY),
                    "build it with scx_add_plugin()");
    }
    if (descriptor == nullptr || descriptor->size < sizeof(scxhost_plugin_descriptor) ||
        descriptor->size > kMaxTableBytes || descriptor->info == nullptr)
        return fail(ErrorKind::kPlugin, "its descriptor is damaged", "rebuild the plugin");
    if (!is_zero(descriptor, sizeof(scxhost_plugin_descriptor), descriptor->size))
        return fail(ErrorKind::kPlugin, "its descriptor uses fields that this host does not know",
                    "use a newer scxhost");
    // The library in memory must be the file that was checked.
    if (std::strncmp(descriptor->info->name, file.info.name.c_str(), SCXHOST_NAME_MAX) != 0 ||
        descriptor->object_bytes != file.object.size() || descriptor->object == nullptr ||
        std::memcmp(descriptor->object, file.object.data(), file.object.size()) != 0)
        return fail(ErrorKind::kPlugin, "its descriptor differs from what its file says",
                    "the file was replaced while it was being loaded, or the plugin is damaged: try again, rebuild it");
    return descriptor;
}

} // namespace

Result<> PluginLibrary::load(const PluginFile& file) {
    copy_ = SCXHOST_TRY(make_memory_file(file.path.filename().string(), file.bytes));
    const std::string path = fmt::format("/proc/self/fd/{}", copy_.get());
    // rtld_now: an unresolved symbol shows here and not in the middle of a swap.
    boost::dll::fs::error_code error;
    library_.load(boost::dll::fs::path(path), error,
                  boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (error) {
        const char* proc = "/proc/self/fd";
        if (::access(proc, F_OK) != 0)
            return fail(ErrorKind::kUnsupported,
                        fmt::format("a plugin is loaded through {}, and there is none: /proc is not mounted", proc),
                        "mount it: mount -t proc proc /proc");
        // Boost.DLL's code for every failure is EBADF; the loader's own words say what is missing.
        const char* reason = ::dlerror();
        std::string what = reason != nullptr ? reason : error.message();
        if (what.starts_with(path))
            what.replace(0, path.size(), file.path.string());
        return fail(ErrorKind::kPlugin, std::move(what));
    }
    const scxhost_plugin_descriptor* descriptor = SCXHOST_TRY(read_descriptor(library_, file));
    callbacks_ = SCXHOST_TRY(copy_callbacks(descriptor->callbacks));
    return {};
}

} // namespace scxhost
