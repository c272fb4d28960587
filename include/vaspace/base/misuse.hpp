// A caller's bug, as against the world's refusals (result.hpp): a double free, a foreign handle.
//
// Always true: a misuse is detected in every build type, reported once to the handler of the allocator
// concerned, and has changed nothing when the handler returns (R6). There is no global handler.
#pragma once

#include <cstdint>
#include <string_view>

#include "vaspace/base/result.hpp"

namespace vaspace {

struct Misuse {
  ErrorCode code{};           // unknown_handle, stale_handle, unknown_address, interior_address, ...
  const char* function = "";  // the call that found it, for example "ArenaAllocator::free"
  std::uint64_t subject = 0;  // the handle's bits, or the address
  std::string_view detail{};  // what is wrong, for a person; valid during the call only
};

struct MisuseHandler {
  void* user = nullptr;
  // nullptr: print one line on standard error and abort. May be called from any thread that uses the
  // allocator, never under one of its locks.
  void (*on_misuse)(void* user, const Misuse& misuse) noexcept = nullptr;

  void operator()(const Misuse& misuse) const noexcept;
};

}  // namespace vaspace
