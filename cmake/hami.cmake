# How this project's targets are made: one function per kind, so that flags live in one place.
if(CMAKE_CROSSCOMPILING)
  find_package(Threads REQUIRED)  # the cross compiler's own libc is all there is
else()
  include(deps)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

option(HAMI_WERROR "treat warnings as errors (packagers may switch it off)" ON)
set(HAMI_SANITIZE "" CACHE STRING "sanitizers of services and tests, e.g. address,undefined")

option(HAMI_TESTS "build tests; off: only what ships, tests remain as targets to ask for" ON)

find_program(CCACHE ccache)
if(CCACHE)
  # Paths below the checkout are hashed relative to it: every clone shares one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
                                  CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

# Warnings for everything of ours, the libraries without a C++ runtime included.
add_library(hami_warnings INTERFACE)
# -Wno-missing-field-initializers: designated initialisers name what differs from the default.
target_compile_options(hami_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow
  -Wno-missing-field-initializers
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<BOOL:${HAMI_WERROR}>:-Werror>)

# Flags of services, tools and tests. Preloaded and simulated libraries never link this.
add_library(hami_options INTERFACE)
target_link_libraries(hami_options INTERFACE hami_warnings)
target_include_directories(hami_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
target_link_options(hami_options INTERFACE -fuse-ld=mold)
if(HAMI_SANITIZE)
  target_compile_options(hami_options INTERFACE -fsanitize=${HAMI_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(hami_options INTERFACE -fsanitize=${HAMI_SANITIZE})
  if(HAMI_SANITIZE STREQUAL "thread")
    # It does not know fences; ours stand between atomic words.
    target_compile_options(hami_options INTERFACE -Wno-tsan)
  endif()
else()
  target_compile_options(hami_options INTERFACE -fstack-protector-strong
    $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
  target_link_options(hami_options INTERFACE -Wl,-z,relro,-z,now)
endif()

# One or two heavy translation units (Beast, gRPC) at a time need about 1 GB each.
set_property(GLOBAL PROPERTY JOB_POOLS heavy=2)

# hami_library(<name> SOURCES ... [DEPS <other rooms>] [LIBS <external>] [TEST_ONLY])
# TEST_ONLY: built only where a test asks for it.
function(hami_library name)
  cmake_parse_arguments(A "TEST_ONLY" "" "SOURCES;DEPS;LIBS;PRIVATE_LIBS" ${ARGN})
  add_library(hami_${name} STATIC ${A_SOURCES})
  add_library(hami::${name} ALIAS hami_${name})
  if(A_TEST_ONLY)
    set_target_properties(hami_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  list(TRANSFORM A_DEPS PREPEND hami_)
  target_link_libraries(hami_${name} PUBLIC hami_options ${A_DEPS} ${A_LIBS}
                                     PRIVATE ${A_PRIVATE_LIBS})
endfunction()

# hami_test(<name> SOURCES ... [DEPS <rooms>] [LIBS <external>] [SHARDS <n>]): one binary, one ctest entry, or so many
# that each run a part of it beside one another.
function(hami_test name)
  cmake_parse_arguments(A "" "TIMEOUT;SHARDS" "SOURCES;DEPS;LIBS;LABELS" ${ARGN})
  add_executable(${name}_test ${A_SOURCES})
  list(TRANSFORM A_DEPS PREPEND hami_)
  target_link_libraries(${name}_test PRIVATE hami_options ${A_DEPS} ${A_LIBS} GTest::gmock
                                             GTest::gtest_main)
  set_target_properties(${name}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                                ${CMAKE_BINARY_DIR}/tests)
  if(NOT HAMI_TESTS)
    set_target_properties(${name}_test PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  if(NOT A_SHARDS)
    set(A_SHARDS 1)
  endif()
  math(EXPR last "${A_SHARDS} - 1")
  foreach(shard RANGE ${last})
    set(test ${name})
    if(last GREATER 0)
      set(test ${name}_${shard})
    endif()
    add_test(NAME ${test} COMMAND ${name}_test WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${test} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}" ENVIRONMENT
                         "GTEST_TOTAL_SHARDS=${A_SHARDS};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()

# hami_binary(<name> SOURCES ... DEPS <rooms>): a program in <build>/bin.
function(hami_binary name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  list(TRANSFORM A_DEPS PREPEND hami_)
  target_link_libraries(${name} PRIVATE hami_options ${A_DEPS} ${A_LIBS})
endfunction()
