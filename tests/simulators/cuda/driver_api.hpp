// The driver under test, loaded by its path, and its control functions. Nothing is linked.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cuda.h>
#include <dlfcn.h>

#include "vasim_cuda.h"

namespace vasim::cuda::test {

inline void* driver_function(const char* name) {
  static void* const library = dlopen(VASIM_CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::abort();
  }
  void* const found = dlsym(library, name);
  if (found == nullptr) {
    std::fprintf(stderr, "%s has no %s\n", VASIM_CUDA_LIBRARY, name);
    std::abort();
  }
  return found;
}

}  // namespace vasim::cuda::test

// cuda.h makes some names macros for others (cuMemAlloc -> cuMemAlloc_v2): the inner macro sees the real one.
#define VASIM_TEXT(name) #name
#define VASIM_FUNCTION(name) \
  (reinterpret_cast<decltype(&name)>(vasim::cuda::test::driver_function(VASIM_TEXT(name))))
// DRIVER(cuMemAlloc)(&address, size)
#define DRIVER(name) VASIM_FUNCTION(name)

#define EXPECT_OK(call) EXPECT_EQ((call), CUDA_SUCCESS)
#define ASSERT_OK(call) ASSERT_EQ((call), CUDA_SUCCESS)
