// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/plugin_template.hpp"

#include "host/base/regular_file.hpp"
#include "host/base/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPlaceholder = "my_sched";
// With "_ops", "_stats" and the build id it stays within the kernel's limits for names.
constexpr std::size_t kMaxName = 40;
constexpr std::size_t kMaxFileBytes = 1U << 20U;

// Targets that CMake's generators make themselves, and words that C has taken.
constexpr std::array kReserved = {"all",     "clean",          "edit_cache", "help",  "install",
                                  "package", "package_source", "test",       "tests", "build",
                                  "scxhost", "rebuild_cache",  "depend"};

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_name_character(char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

// The nearest name that is one.
std::string usable_name(std::string name) {
    std::ranges::replace_if(name, [](char c) { return !is_name_character(c); }, '_');
    if (name.empty() || !is_letter(name.front()) || std::ranges::find(kReserved, name) != kReserved.end())
        name = "my_" + name;
    return name.size() > kMaxName || name == "my_" ? std::string(kPlaceholder) : name;
}

std::string with_name(std::string text, const std::string& name) {
    for (std::size_t at = 0; (at = text.find(kPlaceholder, at)) != std::string::npos; at += name.size())
        text.replace(at, kPlaceholder.size(), name);
    return text;
}

// Adds the template's files: where each comes from, by where it goes.
Result<> collect(const fs::path& from, const std::string& name, std::map<fs::path, fs::path>& files) {
    std::error_code error;
    for (fs::recursive_directory_iterator entry(from, error), end; !error && entry != end; entry.increment(error))
        if (!entry->is_directory())
            files[with_name(entry->path().lexically_relative(from).string(), name)] = entry->path();
    if (error)
        return fail_errno(ErrorKind::kInternal, fmt::format("the templates in {} cannot be read", from.string()),
                          error.value(),
                          "they come with the SDK: install libscxhost-dev, or all of scxhost (cmake --install)");
    return {};
}

Result<> write_file(const fs::path& path, const std::string& text) {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    errno = 0;
    std::ofstream file(path, std::ios::binary);
    file << text << std::flush;
    if (!file)
        return fail_errno(ErrorKind::kIo, fmt::format("cannot write {}", path.string()), errno == 0 ? EIO : errno);
    return {};
}

Result<> write_files(const fs::path& folder, const std::string& name, const std::map<fs::path, fs::path>& files) {
    for (const auto& [to, from] : files) {
        const std::vector<std::byte> bytes = SCXHOST_TRY(read_binary_file(from, kMaxFileBytes, "template"));
        const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        SCXHOST_TRY(write_file(folder / to, with_name(text, name)));
    }
    return {};
}

} // namespace

Result<> check_plugin_name(const std::string& name) {
    const std::string usable = usable_name(name);
    if (usable == name)
        return {};
    std::string why = "a name has letters, digits and '_', and starts with a letter";
    if (std::ranges::find(kReserved, name) != kReserved.end())
        why = "CMake has targets of that name";
    else if (name.size() > kMaxName)
        why = fmt::format("a name has at most {} characters", kMaxName);
    return fail(ErrorKind::kUsage, fmt::format("{} is no name for a plugin: {}", quote_text(name), why),
                fmt::format("{} would do", usable));
}

Result<std::vector<fs::path>> write_plugin(const PluginTemplate& plugin, const fs::path& folder) {
    SCXHOST_TRY(check_plugin_name(plugin.name));
    std::map<fs::path, fs::path> files;
    SCXHOST_TRY(collect(plugin.templates / "base", plugin.name, files));
    if (plugin.with_cpp)
        SCXHOST_TRY(collect(plugin.templates / "cpp", plugin.name, files));

    const fs::path target = folder / plugin.name;
    std::error_code error;
    // Not create_directories: a folder that is not there is more likely mistyped than meant.
    const bool made = fs::create_directory(target, error);
    if (error && error != std::errc::file_exists) {
        const bool denied = error == std::errc::permission_denied || error == std::errc::read_only_file_system;
        return fail_errno(denied ? ErrorKind::kPermission : ErrorKind::kUsage,
                          fmt::format("cannot make the folder {}", target.string()), error.value(),
                          denied ? "choose a folder of yours: --dir DIR"
                                 : "make the folder first, or name another: --dir DIR");
    }
    if (!made)
        return fail(ErrorKind::kUsage, fmt::format("{} exists already, and is left as it is", target.string()),
                    "choose another name, or another place: --dir DIR");
    if (Result<> written = write_files(target, plugin.name, files); !written) {
        fs::remove_all(target, error);
        return fail(std::move(written).error());
    }
    std::vector<fs::path> result;
    for (const auto& [to, from] : files)
        result.push_back(to);
    return result;
}

} // namespace scxhost
