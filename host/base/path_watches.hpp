// SPDX-License-Identifier: GPL-2.0-only
//
// Which inotify watches tell when the file behind a path may have become another one: a path leads through folders,
// each of which can be renamed away and replaced, and through links, each of which can be exchanged; Kubernetes changes
// a mounted ConfigMap by exchanging one link on the way (..data). Folders on the way are watched themselves, so that
// what happens beside them wakes nobody; a folder that holds a link, a gap or the file is watched for that name.
#pragma once

#include "host/base/result.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

struct inotify_event;

namespace scxhost {

struct PathWatches {
    // By watch descriptor: the names in the folder that count. What befalls the folder itself always does.
    std::map<int, std::set<std::string, std::less<>>> names;
    std::optional<Error> error; // what could not be watched; the rest is

    // Whether the path may lead to another file, or its file have another content, by what inotify says.
    [[nodiscard]] bool concerns(const inotify_event& event) const;
};

// Walks the path, which must be absolute, as far as it goes now, and watches every step of it with `inotify`. Each step
// is watched before it is looked at, so that a change during the walk is told as well. Adds to watches that are there.
// Waits for the file system.
[[nodiscard]] PathWatches watch_path(int inotify, const std::filesystem::path& path);

// Ends those of `before` that `now` no longer has.
void drop_old_watches(int inotify, const PathWatches& before, const PathWatches& now);

} // namespace scxhost
