# How a layer, a tool and a test are declared.

function(vaspace_common_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow>
    $<$<BOOL:${VASPACE_WARNINGS_AS_ERRORS}>:-Werror>)
  if(VASPACE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${VASPACE_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    # vptr wants the run-time types that the library is built without.
    if(VASPACE_SANITIZE MATCHES "undefined")
      target_compile_options(${target} PRIVATE -fno-sanitize=vptr)
    endif()
    # Of the fence in src/arena/asymmetric_fence.hpp: what it orders is atomic, and no race for want of it.
    if(VASPACE_SANITIZE MATCHES "thread")
      target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
    endif()
    target_link_options(${target} PUBLIC -fsanitize=${VASPACE_SANITIZE})
  endif()
endfunction()

# A sanitizer's build compiles several sources as one, which takes a third of the time; with VASPACE_TOGETHER any build
# does so with what is not the library. Not so where names that are a file's own meet another file's:
# vaspace_apart(target).
set(CMAKE_UNITY_BUILD_BATCH_SIZE 6)
if(VASPACE_SANITIZE)
  set(CMAKE_UNITY_BUILD ON)
endif()
macro(vaspace_together)
  if(VASPACE_TOGETHER)
    set(CMAKE_UNITY_BUILD ON)
  endif()
endmacro()
function(vaspace_apart)
  set_target_properties(${ARGN} PROPERTIES UNITY_BUILD OFF)
endfunction()

# A sanitizer's build leaves all of a directory but the library as it is written, which takes half the time to compile,
# but for tests that walk over so much that they are then too slow: vaspace_optimised(target). That is all of an
# executable: of a template that two of its sources use, the linker takes either's.
macro(vaspace_plain)
  if(VASPACE_SANITIZE)
    add_compile_options(-O0)
  endif()
endmacro()
# In a release build, what is never measured. At -O1 g++ 12 takes a tl::expected<void> that was made as a value for one
# that may not have been; at -O2 and above it does not.
macro(vaspace_unmeasured)
  vaspace_plain()
  add_compile_options($<$<CONFIG:Release>:-O1>
                      $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU>>:-Wno-maybe-uninitialized>)
endmacro()
function(vaspace_optimised)
  foreach(target IN LISTS ARGN)
    if(VASPACE_SANITIZE)
      target_compile_options(${target} PRIVATE -O1)
      set_target_properties(${target} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)  # they were made without
    endif()
  endforeach()
endfunction()

# What all tests include is parsed once where all of them are built at once. Elsewhere each includes for itself, so
# that what it forgets to include is seen.
function(vaspace_test_headers target)
  if(VASPACE_TOGETHER OR VASPACE_SANITIZE)
    target_precompile_headers(${target} REUSE_FROM vaspace_test_headers)
    # g++ 12 forgets there that std::string's code is a system header's, of which it believes wrong things.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow)
    endif()
  endif()
endfunction()

# What build.sh's run with the address sanitizer builds for the other compiler's warnings: none of its own tests are
# run there.
function(vaspace_warnings_alone target)
  if(VASPACE_SANITIZE MATCHES "address")
    target_compile_options(${target} PRIVATE -O0 -g0 -fno-sanitize=all)
    set_target_properties(${target} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)  # they were made with the sanitizers
  endif()
endfunction()

# vaspace_layer(range SOURCES a.cpp b.cpp DEPENDS base): the target vaspace_range, also vaspace::range. The
# library itself is built without exceptions and without run-time types.
function(vaspace_layer name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  set(target vaspace_${name})
  add_library(${target} ${arg_SOURCES})
  add_library(vaspace::${name} ALIAS ${target})
  vaspace_common_options(${target})
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
  # At -O1 clang inlines nothing, and with the checks at -O2 next to nothing: a test then takes a third more time.
  if(VASPACE_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${target} PRIVATE -O2 "SHELL:-mllvm -inline-threshold=1000")
  endif()
  if(VASPACE_BUILD_FUZZERS)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)  # the coverage that guides them
  endif()
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                              $<INSTALL_INTERFACE:include>)
  foreach(dependency IN LISTS arg_DEPENDS)
    target_link_libraries(${target} PUBLIC vaspace::${dependency})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY VASPACE_LAYERS ${target})
endfunction()

# vaspace_test(range SOURCES x_test.cpp LIBS vaspace::range LABELS threads): one executable, its tests found at
# build time so that each is a line of its own in ctest.
function(vaspace_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS;LABELS" ${ARGN})
  set(target vaspace_${name}_test)
  add_executable(${target} ${arg_SOURCES})
  vaspace_common_options(${target})
  target_link_libraries(${target} PRIVATE ${arg_LIBS} vaspace_test_support GTest::gmock_main)
  vaspace_test_headers(${target})
  # What a thread sanitizer's run builds.
  if("threads" IN_LIST arg_LABELS)
    if(NOT TARGET vaspace_thread_tests)
      add_custom_target(vaspace_thread_tests)
    endif()
    add_dependencies(vaspace_thread_tests ${target})
  endif()
  # One label, because the discovery flattens a list of them; ctest -L finds it by any part.
  string(JOIN "+" label ${name} ${arg_LABELS})
  gtest_discover_tests(${target} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${label} TIMEOUT 600)
endfunction()
