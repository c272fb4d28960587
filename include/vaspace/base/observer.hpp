// What the layers tell about themselves, for a trace, a view or a test.
//
// Always true: with no observer set, an event costs one predictable test and nothing is built for it. An
// observer hears of what has happened, never of what was tried; it must not call back into the allocator that
// speaks.
#pragma once

#include <cstdint>
#include <string_view>

#include "vaspace/base/units.hpp"

namespace vaspace {

enum class EventKind : std::uint8_t {
  allocate,        // arena: an allocation was handed out
  free,            // arena: one came back
  refuse,          // arena: an allocation failed; `code` says why
  reserve,         // device: address space taken
  release,         // device: address space given back
  commit,          // va: pages bound
  decommit,        // va: pages given back
  unbind_refused,  // va: the driver refused an unbind; it is queued and tried again (R7)
  leak,            // arena: still live when its allocator was destroyed
};

struct Event {
  EventKind kind{};
  std::uint8_t arena = 0;  // index of the arena, where there is one
  std::uint8_t code = 0;   // an ErrorCode, for refuse and unbind_refused
  Address address{};
  Bytes size{};          // asked for (allocate, free, refuse, leak); bytes of pages or addresses otherwise
  std::uint64_t id = 0;  // the allocation's id as one number
  std::uint64_t user_data = 0;
  std::string_view name{};  // valid during the call only
};

struct Observer {
  void* user = nullptr;
  // May be called under the allocator's locks and from any thread that uses it: it must take no lock that is
  // held by a caller of collect, flush or report.
  void (*on_event)(void* user, const Event& event) noexcept = nullptr;

  [[nodiscard]] explicit operator bool() const noexcept { return on_event != nullptr; }
  void operator()(const Event& event) const noexcept {
    if (on_event != nullptr) [[unlikely]]
      on_event(user, event);
  }
};

}  // namespace vaspace
