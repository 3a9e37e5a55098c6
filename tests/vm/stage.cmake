# SPDX-License-Identifier: GPL-2.0-only
# cmake -DBUILD=DIR -DSTAGE=DIR -P: what guests run. The environment's SCX_INSTALL_FROM names another build tree to take it
# from: under emulation an optimized host is worth minutes.
if(DEFINED ENV{SCX_INSTALL_FROM})
  set(BUILD $ENV{SCX_INSTALL_FROM})
endif()
set(ENV{DESTDIR} ${STAGE})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix /usr COMMAND_ERROR_IS_FATAL ANY)
