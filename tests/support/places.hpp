// SPDX-License-Identifier: GPL-2.0-only
//
// Where things lie that tests look for. Constants of one small source, and not definitions on every compiler's command
// line: what is compiled does not depend on the folder of the checkout, so that ccache knows it in another one.
#pragma once

namespace scxhost {

extern const char* const kSourceDir;  // of this repository
extern const char* const kProgramDir; // that holds scxhost as built
extern const char* const kPluginsDir; // the plugins as built
extern const char* const kZooDir;     // the plugins made for tests

} // namespace scxhost
