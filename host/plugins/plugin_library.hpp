// SPDX-License-Identifier: GPL-2.0-only
//
// A plugin's library in this process, and the table of callbacks that it offers.
#pragma once

#include "host/base/result.hpp"
#include "host/base/unique_fd.hpp"
#include "host/plugins/plugin_file.hpp"
#include <scxhost/plugin.h>

#include <boost/dll/shared_library.hpp>

namespace scxhost {

class PluginLibrary {
public:
    // Once. Runs the library's constructors, which are code of the plugin; unload() and the end of this run its
    // destructors, also after a failure. The descriptor must agree with what was read from the file before any of it
    // ran. Errors: kPlugin; kUnsupported without /proc.
    Result<> load(const PluginFile& file);

    // Those that the library does not have are null.
    [[nodiscard]] const scxhost_plugin_callbacks& callbacks() const { return callbacks_; }

    void unload() { library_.unload(); }

private:
    // The library is loaded from a copy of the bytes that were checked. From the file itself, a build or an
    // installation that writes into it would change code that runs; and two builds of one file, as in a swap, would be
    // one to the loader. Kept open: the loader knows libraries by their paths, and this one's has the descriptor in it.
    UniqueFd copy_;
    boost::dll::shared_library library_;
    scxhost_plugin_callbacks callbacks_{};
};

} // namespace scxhost
