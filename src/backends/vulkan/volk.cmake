# volk under names of our own. volk keeps its function pointers in globals called vkFoo; a consumer that compiles
# volk.c too (perhaps another version) would clash with ours or, worse, share them. So every name that volk.h
# declares gets a prefix, in a header that is generated from the very volk.h that is compiled.

# The sources of one commit, not built: both are used as files. As all of VASPACE_FETCH, not exercised by the tests.
macro(vaspace_fetch_commit name repository commit)
  FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${commit})
  FetchContent_GetProperties(${name})
  if(NOT ${name}_POPULATED)
    FetchContent_Populate(${name})
  endif()
endmacro()

function(vaspace_find_volk)
  find_path(VASPACE_VULKAN_INCLUDE_DIR vulkan/vulkan_core.h
            HINTS $ENV{VULKAN_SDK} PATH_SUFFIXES include)
  find_path(VASPACE_VOLK_INCLUDE_DIR volk.h
            HINTS $ENV{VULKAN_SDK} PATH_SUFFIXES include include/Volk include/volk Volk volk)
  find_file(VASPACE_VOLK_SOURCE volk.c HINTS ${VASPACE_VOLK_INCLUDE_DIR} NO_DEFAULT_PATH)
  if(VASPACE_FETCH AND NOT VASPACE_VULKAN_INCLUDE_DIR)
    vaspace_fetch_commit(vulkan_headers https://github.com/KhronosGroup/Vulkan-Headers.git
                         2bb0a23104ceffd9a28d5b7401f2cee7dae35bb8)  # sdk-1.3.239.0
    set(VASPACE_VULKAN_INCLUDE_DIR ${vulkan_headers_SOURCE_DIR}/include CACHE PATH "" FORCE)
  endif()
  if(VASPACE_FETCH AND NOT VASPACE_VOLK_SOURCE)
    vaspace_fetch_commit(volk https://github.com/zeux/volk.git
                         9bba0dbb028829ae38f3af0524e9d185c7253f67)  # sdk-1.3.239.0
    set(VASPACE_VOLK_INCLUDE_DIR ${volk_SOURCE_DIR} CACHE PATH "" FORCE)
    set(VASPACE_VOLK_SOURCE ${volk_SOURCE_DIR}/volk.c CACHE FILEPATH "" FORCE)
  endif()
endfunction()

# Writes volk_prefix.h, which renames every vkFoo, volkFoo and VolkFooTable that volk.h names, and puts it and
# volk in the way of `target`'s sources.
function(vaspace_prefix_volk target)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${VASPACE_VOLK_INCLUDE_DIR}/volk.h)
  file(STRINGS ${VASPACE_VOLK_INCLUDE_DIR}/volk.h lines
       REGEX "(^extern PFN_vk|volk[A-Z][A-Za-z]*\\(|struct Volk[A-Za-z]*Table)")
  string(REGEX MATCHALL "(vk|volk|Volk)[A-Z][A-Za-z0-9]*" names "${lines}")
  list(SORT names)
  list(REMOVE_DUPLICATES names)
  set(text "// Generated from volk.h: see src/backends/vulkan/volk.cmake.\n#pragma once\n")
  foreach(name IN LISTS names)
    string(APPEND text "#define ${name} vaspace_volk_${name}\n")
  endforeach()
  file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/volk_prefix.h CONTENT "${text}")
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
  target_include_directories(${target} SYSTEM PRIVATE ${VASPACE_VOLK_INCLUDE_DIR})
  # Hidden, so that a shared library exports none of it. Its warnings are volk's; a changed signature is ours.
  set_source_files_properties(volk_table.c PROPERTIES
    COMPILE_OPTIONS "-fvisibility=hidden;-w;-Werror=incompatible-pointer-types")
endfunction()
