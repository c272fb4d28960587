#include "bench/peers.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include "failed.hpp"

namespace vaspace::tools::bench {

namespace {

// Loaded once, never unloaded: threads may still hold its heaps.
void* mimalloc_library() {
#ifdef VASPACE_BENCH_MIMALLOC
  static void* const library = ::dlopen(VASPACE_BENCH_MIMALLOC, RTLD_NOW | RTLD_LOCAL);
  return library;
#else
  return nullptr;
#endif
}

template <class Function>
Function* symbol(const char* name) {
  void* library = mimalloc_library();
  return library == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(library, name));
}

template <class Function>
Function* needed(const char* name) {
  Function* function = symbol<Function>(name);
  if (function == nullptr) throw Failed(fmt::format("mimalloc has no {}", name));
  return function;
}

}  // namespace

bool have_mimalloc() {
  return symbol<void*(std::size_t, std::size_t)>("mi_malloc_aligned") != nullptr &&
         symbol<void(void*)>("mi_free") != nullptr;
}

std::string mimalloc_version() {
  auto* version = symbol<int()>("mi_version");
  if (version == nullptr) return {};
  const int number = version();  // 209 is 2.0.9
  return fmt::format("{}.{}.{}", number / 100, number / 10 % 10, number % 10);
}

Mimalloc::Mimalloc(const Setup&)
    : allocate_(needed<void*(std::size_t, std::size_t)>("mi_malloc_aligned")),
      free_(needed<void(void*)>("mi_free")) {}

}  // namespace vaspace::tools::bench
