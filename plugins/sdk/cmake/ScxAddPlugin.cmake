# SPDX-License-Identifier: GPL-2.0-only
# scx_add_plugin(): builds a scheduler plugin from a BPF source, or around a BPF object that exists, and, where it has one,
# a user-space half. Used by this repository and, installed with the SDK, by plugins elsewhere.
#
#   scx_add_plugin(NAME
#     SUMMARY "one line for `scxhost list`"
#     BPF file.bpf.c                # compiled; or
#     OBJECT file.bpf.o             # taken as it is: built by somebody else, or by a rule of the same folder
#     [SOURCES file.cpp ...]        # one of them holds SCXHOST_PLUGIN(Class)
#     [VERSION text]                # default: PROJECT_VERSION
#     [STRUCT_OPS map]              # needed only when the object has several
#     [DEPENDS header ...]          # extra dependencies of the BPF object (included headers are found by themselves)
#     [NO_INSTALL])
#
# Makes the module NAME.so, with the BPF object embedded, and NAME.bpf.o beside it in SCXHOST_PLUGIN_OUTPUT_DIR (default:
# lib/scxhost/plugins in the build folder), and installs both into SCXHOST_PLUGIN_DIR.
include_guard(GLOBAL)

# Arena pointers need address-space casts, which clang emits for the BPF target from 19 on.
set(SCXHOST_BPF_CLANG_MINIMUM 19)

function(scxhost_is_bpf_clang result candidate)
  execute_process(COMMAND ${candidate} -dumpversion OUTPUT_VARIABLE version ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT version VERSION_GREATER_EQUAL SCXHOST_BPF_CLANG_MINIMUM)
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()

find_program(SCXHOST_BPF_CLANG NAMES clang-19 clang-20 clang-21 clang-22 clang VALIDATOR scxhost_is_bpf_clang
             DOC "clang ${SCXHOST_BPF_CLANG_MINIMUM} or newer, for the BPF target")
if(NOT SCXHOST_BPF_CLANG)
  message(FATAL_ERROR "clang ${SCXHOST_BPF_CLANG_MINIMUM} or newer is needed to compile BPF programs; "
                      "install it or set SCXHOST_BPF_CLANG")
endif()
get_filename_component(scxhost_clang_real ${SCXHOST_BPF_CLANG} REALPATH)
get_filename_component(scxhost_clang_dir ${scxhost_clang_real} DIRECTORY)
find_program(SCXHOST_LLVM_STRIP NAMES llvm-strip llvm-strip-19 llvm-strip-20 llvm-strip-21 llvm-strip-22
             HINTS ${scxhost_clang_dir} DOC "llvm-strip, to drop DWARF from BPF objects")
if(NOT SCXHOST_LLVM_STRIP)
  message(FATAL_ERROR "llvm-strip is needed to make BPF objects small; install LLVM's tools or set SCXHOST_LLVM_STRIP")
endif()

set(SCXHOST_PLUGIN_OUTPUT_DIR ${CMAKE_BINARY_DIR}/lib/scxhost/plugins CACHE PATH "Where built plugins are put")

# Compiles `source` to `output`. The include folders are those of the SDK and of libbpf, plus the source's own.
function(scxhost_compile_bpf source output)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "DEPENDS")
  get_filename_component(source ${source} ABSOLUTE)
  get_filename_component(name ${output} NAME)
  file(RELATIVE_PATH shown ${CMAKE_BINARY_DIR} ${output})
  set(includes "$<TARGET_PROPERTY:scxhost::bpf,INTERFACE_INCLUDE_DIRECTORIES>")
  # With DWARF, for a disassembler that shows source lines. The object itself appears in one step: `scxhost run --watch`
  # may be looking.
  set(full ${CMAKE_CURRENT_BINARY_DIR}/${name}.dwarf)
  # Without the mem* builtins neighbouring stores stay stores: clang 19 turns some into a memset, and forgets to translate
  # the address when that is in an arena, which the verifier then refuses ("invalid mem access 'scalar'").
  # The object does not say where it was compiled: of two maps that fit, clang takes the last one.
  # Sanitizers and hardening of the host do not apply: the BPF target has its own flags.
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${SCXHOST_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror
            -Wno-unused-parameter -Wno-missing-field-initializers
            -fno-builtin-memset -fno-builtin-memcpy -fno-ident
            "-fdebug-prefix-map=${CMAKE_SOURCE_DIR}=." "-fdebug-prefix-map=${CMAKE_BINARY_DIR}=build"
            "$<$<BOOL:${includes}>:-I$<JOIN:${includes},;-I>>"
            -MD -MF ${full}.d -MT ${output} -c ${source} -o ${full}
    COMMAND ${SCXHOST_LLVM_STRIP} -g ${full} -o ${output}
    DEPENDS ${source} ${arg_DEPENDS}
    DEPFILE ${full}.d
    COMMENT "Building BPF object ${shown}"
    COMMAND_EXPAND_LISTS VERBATIM)
endfunction()

# Copies the object `source` to `output`, where it, too, appears in one step.
function(scxhost_take_object source output)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "DEPENDS")
  get_filename_component(source ${source} ABSOLUTE)
  get_filename_component(name ${output} NAME)
  file(RELATIVE_PATH shown ${CMAKE_BINARY_DIR} ${output})
  set(copy ${CMAKE_CURRENT_BINARY_DIR}/${name}.copy)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E copy ${source} ${copy}
    COMMAND ${CMAKE_COMMAND} -E rename ${copy} ${output}
    DEPENDS ${source} ${arg_DEPENDS}
    COMMENT "Taking BPF object ${shown}"
    VERBATIM)
endfunction()

function(scx_add_plugin name)
  # PARSE_ARGV: a summary may contain semicolons.
  cmake_parse_arguments(PARSE_ARGV 1 arg "NO_INSTALL" "SUMMARY;BPF;OBJECT;VERSION;STRUCT_OPS" "SOURCES;DEPENDS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "scx_add_plugin(${name}): unknown argument ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT name MATCHES "^[A-Za-z0-9_-]+$")
    message(FATAL_ERROR "scx_add_plugin(${name}): a plugin's name may hold letters, digits, '_' and '-' only")
  endif()
  if(NOT arg_SUMMARY)
    message(FATAL_ERROR "scx_add_plugin(${name}): SUMMARY is missing")
  endif()
  if((arg_BPF AND arg_OBJECT) OR NOT (arg_BPF OR arg_OBJECT))
    message(FATAL_ERROR "scx_add_plugin(${name}): needs one of BPF and OBJECT")
  endif()
  if(NOT arg_VERSION)
    set(arg_VERSION ${PROJECT_VERSION})
  endif()

  file(MAKE_DIRECTORY ${SCXHOST_PLUGIN_OUTPUT_DIR})
  set(object ${SCXHOST_PLUGIN_OUTPUT_DIR}/${name}.bpf.o)
  if(arg_BPF)
    scxhost_compile_bpf(${arg_BPF} ${object} DEPENDS ${arg_DEPENDS})
  else()
    scxhost_take_object(${arg_OBJECT} ${object} DEPENDS ${arg_DEPENDS})
  endif()

  set(hash ${CMAKE_CURRENT_BINARY_DIR}/${name}.object_hash.h)
  add_custom_command(
    OUTPUT ${hash}
    COMMAND ${CMAKE_COMMAND} -DOBJECT=${object} -DOUTPUT=${hash} -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/object_hash.cmake
    DEPENDS ${object}
    VERBATIM)

  set(SCXHOST_GENERATED_NAME "${name}")
  set(SCXHOST_GENERATED_VERSION "${arg_VERSION}")
  string(REGEX REPLACE "([\\\"])" "\\\\\\1" SCXHOST_GENERATED_SUMMARY "${arg_SUMMARY}") # a C string
  set(SCXHOST_GENERATED_STRUCT_OPS "${arg_STRUCT_OPS}")
  set(SCXHOST_GENERATED_OBJECT "${object}")
  set(SCXHOST_GENERATED_OBJECT_HASH "${hash}")
  if(arg_SOURCES)
    set(SCXHOST_GENERATED_HAS_CALLBACKS 1)
  else()
    set(SCXHOST_GENERATED_HAS_CALLBACKS 0)
  endif()
  set(descriptor ${CMAKE_CURRENT_BINARY_DIR}/${name}.plugin.c)
  configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin_descriptor.c.in ${descriptor} @ONLY)
  set_source_files_properties(${descriptor} PROPERTIES OBJECT_DEPENDS "${object};${hash}")

  add_library(${name} MODULE ${descriptor} ${arg_SOURCES})
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so"
    LIBRARY_OUTPUT_DIRECTORY ${SCXHOST_PLUGIN_OUTPUT_DIR}
    LINK_DEPENDS ${map}
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(${name} PRIVATE scxhost::sdk)
  # -fno-gnu-unique: a library with STB_GNU_UNIQUE symbols is never unloaded. clang has no such symbols and no such flag.
  target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  # The version script also hides the weak instantiations of std:: templates, which ignore hidden visibility.
  target_link_options(${name} PRIVATE -Wl,--version-script=${map})
  # An undefined symbol is an error at build time; only a sanitizer's runtime has to stay undefined.
  if(NOT SCXHOST_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()

  if(NOT arg_NO_INSTALL)
    if(NOT SCXHOST_PLUGIN_DIR)
      set(SCXHOST_PLUGIN_DIR lib/scxhost/plugins)
    endif()
    install(TARGETS ${name} LIBRARY DESTINATION ${SCXHOST_PLUGIN_DIR})
    install(FILES ${object} DESTINATION ${SCXHOST_PLUGIN_DIR})
  endif()
endfunction()
