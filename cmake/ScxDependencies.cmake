# SPDX-License-Identifier: GPL-2.0-only
# Every library and tool that the build needs. Nothing is fetched here: `./dev setup` installs what is missing.

find_package(PkgConfig REQUIRED)
# 1.7: bpf_program__assoc_struct_ops.
pkg_check_modules(LIBBPF REQUIRED IMPORTED_TARGET libbpf>=1.7)
# sd-event is the event loop, sd-daemon tells systemd about readiness.
pkg_check_modules(LIBSYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
find_package(Threads REQUIRED)
# Kernels show their configuration compressed.
find_package(ZLIB REQUIRED)
# Boost.DLL and, for scxhost-exporter, Boost.Beast; both are headers.
find_package(Boost 1.74 REQUIRED COMPONENTS filesystem)
# fmt is what spdlog formats with; g++ 12 has no std::format.
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
# The screen of `scxhost top`. Its own compiler flags ask for less of the C library than the rest is compiled with.
pkg_check_modules(NCURSES REQUIRED ncursesw)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
if(SCXHOST_TESTS)
  find_package(GTest REQUIRED)
endif()
if(SCXHOST_BENCH)
  find_package(benchmark REQUIRED)
endif()
