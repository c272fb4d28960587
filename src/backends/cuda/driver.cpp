#include "driver.hpp"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

#include "errors.hpp"

namespace vaspace::cuda {
namespace {

constexpr const char* kUsualName = "libcuda.so.1";
constexpr int kFinderSince = 11030;

const char* name_of_library(const char* asked) noexcept {
  if (asked != nullptr) return asked;
  const char* named = std::getenv("VASPACE_CUDA_DRIVER");
  return named != nullptr && named[0] != '\0' ? named : kUsualName;
}

tl::unexpected<Error> refuse_missing(Refusal& refusal, int version, const char* function,
                                     int since) noexcept {
  refusal = {version, since, function, {}};
  std::snprintf(refusal.text, sizeof refusal.text,
                "the CUDA driver of version %d.%d is too old: it has no %s, which came with %d.%d",
                version / 1000, version % 1000 / 10, function, since / 1000, since % 1000 / 10);
  return fail(ErrorCode::not_supported, CUDA_ERROR_NOT_FOUND);
}

}  // namespace

tl::unexpected<Error> refuse(Refusal& refusal, Error error, const char* function, const char* why) noexcept {
  refusal.function = function;
  std::snprintf(refusal.text, sizeof refusal.text, "%s: %s (CUresult %d)", function, why,
                static_cast<int>(error.native));
  return fail(error);
}

// The library itself says that it stays (RTLD_NODELETE): a driver has threads.
Driver::~Driver() {
  if (library_ != nullptr) dlclose(library_);
}

Result<void> Driver::open(const char* library, Refusal& refusal) noexcept {
  const char* name = name_of_library(library);
  library_ = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library_ == nullptr) {
    refusal = {};
    const char* why = dlerror();
    std::snprintf(refusal.text, sizeof refusal.text, "no CUDA driver: %s", why != nullptr ? why : name);
    return fail(ErrorCode::not_supported);
  }
  auto* const ask_version = reinterpret_cast<decltype(&::cuDriverGetVersion)>(symbol("cuDriverGetVersion"));
  if (ask_version == nullptr || ask_version(&version_) != CUDA_SUCCESS)
    return refuse(refusal, {ErrorCode::not_supported, CUDA_ERROR_NOT_FOUND}, "cuDriverGetVersion",
                  "the library does not say its version: it is no CUDA driver");
  refusal.driver_version = version_;
  if (Result<void> found = find_functions(refusal); !found) return found;
  const CUresult started = init(0);
  if (started == CUDA_SUCCESS) return {};
  return refuse(refusal, error_of(started), "cuInit",
                started == CUDA_ERROR_NO_DEVICE ? "the driver finds no device" : "the driver does not start");
}

Result<void> Driver::find_functions(Refusal& refusal) noexcept {
  finder_ = symbol("cuGetProcAddress_v2");
  finder_tells_why_ = finder_ != nullptr;
  if (finder_ == nullptr) finder_ = symbol("cuGetProcAddress");
  if (finder_ == nullptr) return refuse_missing(refusal, version_, "cuGetProcAddress", kFinderSince);
#define VASPACE_CUDA_FIND(member, name, since)                     \
  member = reinterpret_cast<decltype(member)>(find(#name, since)); \
  if (member == nullptr) return refuse_missing(refusal, version_, #name, since);
  VASPACE_CUDA_FUNCTIONS(VASPACE_CUDA_FIND)
#undef VASPACE_CUDA_FIND
  constexpr int kCapturingSince = 10000;
  is_capturing = reinterpret_cast<decltype(is_capturing)>(find("cuStreamIsCapturing", kCapturingSince));
  return {};
}

void* Driver::find(const char* name, int since) noexcept {
  using Finder = CUresult (*)(const char*, void**, int, cuuint64_t);
  using TellingFinder = CUresult (*)(const char*, void**, int, cuuint64_t, CUdriverProcAddressQueryResult*);
  void* found = nullptr;
  CUresult result = CUDA_SUCCESS;
  if (finder_tells_why_) {
    CUdriverProcAddressQueryResult why{};
    result = reinterpret_cast<TellingFinder>(finder_)(name, &found, since, CU_GET_PROC_ADDRESS_DEFAULT, &why);
  } else {
    result = reinterpret_cast<Finder>(finder_)(name, &found, since, CU_GET_PROC_ADDRESS_DEFAULT);
  }
  return result == CUDA_SUCCESS ? found : nullptr;
}

void* Driver::symbol(const char* name) noexcept {
  return dlsym(library_, name);
}

}  // namespace vaspace::cuda
