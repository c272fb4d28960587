# What is found where. An installed package comes first (./build.sh installs Debian's); VASPACE_FETCH=ON downloads
# pinned sources in place of a missing one. That fallback is written for machines with a network and is not
# exercised by this project's tests.
include(FetchContent)

function(vaspace_fetch name url hash)
  if(NOT VASPACE_FETCH)
    message(FATAL_ERROR "vaspace: ${name} is not installed. ./build.sh installs it; -DVASPACE_FETCH=ON "
                        "downloads it.")
  endif()
  FetchContent_Declare(${name} URL ${url} URL_HASH SHA256=${hash} SYSTEM)
  FetchContent_MakeAvailable(${name})
endfunction()

find_package(tl-expected QUIET)
if(NOT tl-expected_FOUND)
  vaspace_fetch(tl-expected https://github.com/TartanLlama/expected/archive/refs/tags/v1.0.0.tar.gz
                8f5124085a124113e75e3890b4e923e3a4de5b26a973b891b3deb40e19c03cee)
endif()

find_package(Threads REQUIRED)
