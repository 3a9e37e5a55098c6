# SPDX-License-Identifier: GPL-2.0-only
# The minimum kernel stands in kernels.list: its first row.
set(SCXHOST_MINIMUM_KERNEL 6.16)
if(EXISTS ${CMAKE_SOURCE_DIR}/kernels.list)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels.list)
  file(STRINGS ${CMAKE_SOURCE_DIR}/kernels.list rows REGEX "^[0-9]")
  list(GET rows 0 first_row)
  string(REGEX MATCH "^[0-9.]+" SCXHOST_MINIMUM_KERNEL "${first_row}")
endif()
