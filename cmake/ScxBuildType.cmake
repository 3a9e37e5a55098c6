# SPDX-License-Identifier: GPL-2.0-only
# Language level, warnings, sanitizers and the folders of an installation, for every target of this tree.

get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT multi_config AND NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# C++23 for std::expected; the SDK headers themselves stay at C++20 (plugins/sdk).
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

include(GNUInstallDirs)
# Part of the documented layout, so they do not follow a distribution's multiarch folder.
set(SCXHOST_PLUGIN_DIR lib/scxhost/plugins)
set(SCXHOST_CMAKE_DIR lib/cmake/scxhost)
set(SCXHOST_CONFIG_DIR ${CMAKE_INSTALL_DATADIR}/scxhost/configs)
set(SCXHOST_GUEST_DIR ${CMAKE_INSTALL_DATADIR}/scxhost/guest)
set(SCXHOST_TEMPLATE_DIR share/scxhost/template)
# Debian's zsh reads what packages bring from a folder of its own, and site-functions only in /usr/local.
set(zsh_folder site-functions)
if(EXISTS /etc/debian_version AND CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(zsh_folder vendor-completions)
endif()
set(SCXHOST_ZSH_COMPLETIONS ${CMAKE_INSTALL_DATADIR}/zsh/${zsh_folder} CACHE STRING "Where zsh looks for completions")
# systemd looks in lib/systemd, not in the multiarch folder. Some distributions have it outside of /usr.
set(SCXHOST_UNIT_DIR lib/systemd/system CACHE STRING "Where systemd looks for units")
# What is installed is in three components, which are packages in distributions: host, sdk (for authors of plugins) and
# guest (the guest runner).
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME host)

add_library(scxhost_warnings INTERFACE)
target_compile_options(scxhost_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wformat=2 -Wundef
  $<$<BOOL:${SCXHOST_WERROR}>:-Werror>)
target_compile_options(scxhost_warnings INTERFACE $<$<COMPILE_LANGUAGE:C>:-Wno-non-virtual-dtor -Wno-overloaded-virtual>)
# g++ 12 sees overlaps in std::string::insert and replace that cannot be (GCC bug 105651, fixed in 13).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # Nor can it follow the members of std::optional and std::variant.
  target_compile_options(scxhost_warnings INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()

# clang's -Wextra has it also for designated initialisers, which are there to leave members out.
target_compile_options(scxhost_warnings INTERFACE
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-missing-designated-field-initializers>)

# What ccache needs to know a precompiled header by what it holds.
add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>")

# What guests run in tests has them (CMakePresets.json), what is installed has not.
if(SCXHOST_ASSERTIONS)
  add_compile_definitions($<$<COMPILE_LANGUAGE:CXX>:_GLIBCXX_ASSERTIONS>)
endif()

set(SCXHOST_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=")
if(SCXHOST_SANITIZE)
  add_compile_options(-fsanitize=${SCXHOST_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SCXHOST_SANITIZE})
endif()
