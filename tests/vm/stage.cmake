# SPDX-License-Identifier: GPL-2.0-only
# cmake -DBUILD=DIR -DSTAGE=DIR [-DFIXED=1] -P: what guests run. The environment's SCX_INSTALL_FROM names another
# build tree to take it from: under emulation an optimized host is worth minutes. With FIXED it is BUILD, whatever that says.
if(DEFINED ENV{SCX_INSTALL_FROM} AND NOT DEFINED FIXED)
  set(BUILD $ENV{SCX_INSTALL_FROM})
endif()
set(ENV{DESTDIR} ${STAGE})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix /usr COMMAND_ERROR_IS_FATAL ANY)

# One guest needs the exporter, and gets it by itself: its libraries would be in all of them.
file(REMOVE ${STAGE}/usr/bin/scxhost-exporter)

# An index out of range, a released pointer: a test is to end there, and not somewhere later.
file(STRINGS ${STAGE}/usr/bin/scxhost assertions REGEX "glibcxx_assert_fail" LIMIT_COUNT 1)
if(NOT assertions)
  message(FATAL_ERROR "${STAGE}/usr/bin/scxhost was built without the C++ library's assertions (SCXHOST_ASSERTIONS)")
endif()
