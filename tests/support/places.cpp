// SPDX-License-Identifier: GPL-2.0-only
#include "tests/support/places.hpp"

namespace scxhost {

const char* const kSourceDir = SCXHOST_SOURCE_DIR;
const char* const kProgramDir = SCXHOST_BUILD_DIR "/host";
const char* const kPluginsDir = SCXHOST_BUILD_DIR "/lib/scxhost/plugins";
const char* const kZooDir = SCXHOST_ZOO_DIR;

} // namespace scxhost
