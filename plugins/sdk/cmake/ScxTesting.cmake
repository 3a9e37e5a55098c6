# SPDX-License-Identifier: GPL-2.0-only
# Tests of a plugin, for builds against an installed SDK.
#
# scx_add_check_test(): what `scxhost check` says without a kernel: the configuration, the plugin, every option, the plugin's
# own checks.
#
#   scx_add_check_test(NAME CONFIG file.toml PLUGINS target ...)
#
# scx_add_guest_test(): a CTest that boots a real kernel in QEMU, with scxhost and the plugin in it. Neither root nor
# sched_ext is needed on this machine, and its own scheduler is not touched.
#
#   scx_add_guest_test(NAME
#     [PLUGINS target ...]          # made by scx_add_plugin(); in the guest their libraries are in /root
#     [FILES file ...]              # further files for /root
#     CONFIG file.toml              # run under a load for SECONDS (default: 3); passes when the kernel enabled the
#     [SECONDS n]                   # scheduler, nothing failed, and the kernel's log is clean
#     | COMMAND program argument ... # or: any command, as root in /root; passes with exit status 0 and a clean log
#     [KERNEL name]                 # series or release of kernels.list, or path of an image (SCXHOST_GUEST_KERNEL)
#     [CPUS n] [MEMORY size]        # default: 2, 1G
#     [EXPECT_LOG regex ...]        # lines of the kernel's log that are no failure
#     [TIMEOUT seconds])            # of the guest (default: 180)
#
# What a guest needs, and this machine may lack, is said by the test itself: QEMU, busybox, cpio, a kernel. On Debian the
# kernel is fetched once; elsewhere give a path in SCXHOST_GUEST_KERNEL.
include_guard(GLOBAL)

option(SCXHOST_GUEST_TESTS "Add the tests that run in a guest" ON)
set(SCXHOST_GUEST_KERNEL "" CACHE STRING "Kernel of the guest tests: a series, a release, or the path of an image")

function(scx_add_check_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CONFIG" "PLUGINS")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_CONFIG OR NOT arg_PLUGINS)
    message(FATAL_ERROR "scx_add_check_test(${name}): CONFIG and PLUGINS are needed, and nothing else")
  endif()
  foreach(plugin ${arg_PLUGINS})
    list(APPEND folders --plugin-dir $<TARGET_FILE_DIR:${plugin}>)
  endforeach()
  get_filename_component(config ${arg_CONFIG} ABSOLUTE)
  add_test(NAME ${name} COMMAND ${SCXHOST_PROGRAM} check ${config} ${folders})
endfunction()

function(scx_add_guest_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CONFIG;SECONDS;KERNEL;CPUS;MEMORY;TIMEOUT" "PLUGINS;FILES;COMMAND;EXPECT_LOG")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "scx_add_guest_test(${name}): unknown argument ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_CONFIG AND NOT arg_COMMAND OR arg_CONFIG AND arg_COMMAND)
    message(FATAL_ERROR "scx_add_guest_test(${name}): either CONFIG or COMMAND is needed")
  endif()
  if(NOT SCXHOST_GUEST_TESTS)
    return()
  endif()
  foreach(default SECONDS=3 CPUS=2 MEMORY=1G TIMEOUT=180 "KERNEL=${SCXHOST_GUEST_KERNEL}")
    string(REGEX MATCH "^([A-Z]+)=(.*)$" default "${default}")
    if(NOT arg_${CMAKE_MATCH_1})
      set(arg_${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
    endif()
  endforeach()
  if(arg_CONFIG)
    list(APPEND arg_FILES ${arg_CONFIG})
    get_filename_component(config ${arg_CONFIG} NAME)
    # The load ends with the guest.
    set(arg_COMMAND sh -c "/usr/lib/scxhost/scx-load & exec scxhost run ${config} --plugin-dir /root --for ${arg_SECONDS}s")
  endif()

  set(options --quiet --check-log --timeout ${arg_TIMEOUT} --cpus ${arg_CPUS} --memory ${arg_MEMORY})
  if(arg_KERNEL)
    list(APPEND options --kernel ${arg_KERNEL})
  endif()
  foreach(regex ${arg_EXPECT_LOG})
    list(APPEND options --expect-log ${regex})
  endforeach()
  foreach(plugin ${arg_PLUGINS})
    list(APPEND options --add $<TARGET_FILE:${plugin}>)
  endforeach()
  foreach(file ${arg_FILES})
    if(NOT file MATCHES "^\\$<")
      get_filename_component(file ${file} ABSOLUTE)
    endif()
    list(APPEND options --add ${file})
  endforeach()
  add_test(NAME ${name} COMMAND ${SCXHOST_GUEST_RUNNER} ${options} -- ${arg_COMMAND})
  # The first guest on this machine may have a kernel to fetch.
  math(EXPR timeout "${arg_TIMEOUT} + 300")
  set_tests_properties(${name} PROPERTIES LABELS guest TIMEOUT ${timeout})
endfunction()
