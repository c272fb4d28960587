// An Observer that writes what an allocator does as a trace, to be replayed.
//
// Always true:
//  - Every allocate event becomes an alloc row and every free event a free row, in the order in which they
//    were heard; times are nanoseconds since the recorder was made and never fall.
//  - An event carries no alignment, so that rows are of kind "memory" with alignment 0, "none recorded".
//  - Threads are numbered as they are first heard, up to 255; all further ones share number 255.
//  - Hearing an event asks for no host memory (R7).
#pragma once

#include "vaspace/base/host_allocator.hpp"
#include "vaspace/base/host_object.hpp"
#include "vaspace/base/observer.hpp"
#include "vaspace/trace/failure.hpp"

namespace vaspace::trace {

class Recorder {
 public:
  // Errors: as Writer::create.
  [[nodiscard]] static Expected<Recorder> create(
      const char* path, const HostAllocator& host = default_host_allocator()) noexcept;

  Recorder(Recorder&&) noexcept;
  Recorder& operator=(Recorder&&) noexcept;
  ~Recorder();

  // For one allocator's configuration: two allocators' ids could collide. Stays valid when the Recorder is
  // moved; must not be heard by once it is destroyed or closed. Thread-safe.
  [[nodiscard]] Observer observer() noexcept;
  // A frame row: the caller has just presented. Thread-safe.
  void frame() noexcept;
  // Ends the trace. Errors: the first that happened while recording.
  [[nodiscard]] Expected<void> close() noexcept;

 private:
  struct State;
  explicit Recorder(HostObject<State> state) noexcept;
  HostObject<State> state_;
};

}  // namespace vaspace::trace
