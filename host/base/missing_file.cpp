// SPDX-License-Identifier: GPL-2.0-only
#include "host/base/missing_file.hpp"

#include "host/base/suggest.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxEntries = 4096; // a hint is not worth reading more of a folder

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end && names.size() < kMaxEntries;
         entry.increment(error)) {
        std::error_code ignored; // what cannot be examined is not worth a hint
        if (!entry->is_directory(ignored) && entry->exists(ignored))
            names.push_back(entry->path().filename().string());
    }
    std::ranges::sort(names); // a folder's own order would make the hint one of chance
    return names;
}

} // namespace

Error missing_file(const fs::path& path) {
    Error result{.kind = ErrorKind::kIo, .what = "there is no file " + path.string(), .sys_errno = ENOENT};
    std::error_code error;
    if (fs::is_symlink(fs::symlink_status(path, error))) {
        result.what = path.string() + " is a link, and there is no file " + fs::read_symlink(path, error).string();
        return result;
    }
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (fs::status(folder, error).type() == fs::file_type::not_found)
        result.hint = "there is no folder " + folder.string();
    else if (const std::optional<std::string> near = nearest_word(path.filename().string(), names_in(folder)))
        result.hint = "did you mean " + (path.parent_path() / *near).string() + "?";
    return result;
}

} // namespace scxhost
