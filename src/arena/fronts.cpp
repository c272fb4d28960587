#include "arena/fronts.hpp"

#include <new>
#include <thread>

namespace vaspace {

namespace {

std::size_t bytes_of(std::uint32_t magazines, std::uint32_t kept) noexcept {
  return sizeof(Front) + sizeof(Magazine) * magazines + sizeof(KeptRanges) * kept;
}

}  // namespace

Front* make_front(const HostAllocator& host, const FrontShape& shape) noexcept {
  void* memory = host.allocate(host.user, bytes_of(shape.magazines, shape.kept), alignof(Front));
  if (memory == nullptr) return nullptr;
  auto* front = ::new (memory) Front;
  front->magazine_count = shape.magazines;
  front->kept_count = shape.kept;
  for (std::uint32_t k = 0; k < shape.magazines; ++k) {
    auto* magazine = ::new (static_cast<void*>(front->magazines() + k)) Magazine;
    magazine->slab = shape.slabs[k];
    if (magazine->slab.alignment == 0) continue;
    magazine->capacity = Magazine::capacity_for(Bytes{magazine->slab.records.slot_size});
  }
  for (std::uint32_t i = 0; i < shape.kept; ++i)
    ::new (static_cast<void*>(front->kept_ranges() + i)) KeptRanges;
  return front;
}

void destroy_front(const HostAllocator& host, Front* front) noexcept {
  if (front == nullptr) return;
  host.deallocate(host.user, front, bytes_of(front->magazine_count, front->kept_count), alignof(Front));
}

Fronts<ThreadSafe>::~Fronts() {
  close();
  for (std::atomic<Front*>& front : table_)
    destroy_front(host_, front.load(std::memory_order_relaxed));
}

bool Fronts<ThreadSafe>::open(const FrontShape& shape, const FrontOwner& owner) noexcept {
  shape_ = shape;
  owner_ = owner;
  open_ = true;
  ThreadSlots::add(*this);
  return true;
}

void Fronts<ThreadSafe>::close() noexcept {
  if (!open_) return;
  ThreadSlots::remove(*this);
  open_ = false;
}

void Fronts<ThreadSafe>::join() noexcept {
  if (!open_) return;
  const std::uint32_t number = ThreadSlots::join();
  if (number == 0 || table_[number].load(std::memory_order_relaxed) != nullptr) return;
  Front* front = make_front(host_, shape_);
  if (front == nullptr) return;
  front->taker = static_cast<std::uint8_t>(number);
  const std::scoped_lock lock(mutex_);
  // Release: who finds it sees its content.
  table_[number].store(front, std::memory_order_release);
  if (number >= made_.load(std::memory_order_relaxed)) {
    made_.store(number + 1, std::memory_order_release);
  }
}

void Fronts<ThreadSafe>::pause() noexcept {
  for_each_front([](Front& front) { front.paused.store(1, std::memory_order_relaxed); });
  fence_.heavy();
  // In hand is it for a few instructions, or for what an arena's lock takes: no driver call is among them.
  for_each_front([](const Front& front) {
    for (unsigned spins = 0; front.in_hand.load(std::memory_order_acquire) != 0; ++spins) {
      if (spins > 64) std::this_thread::yield();
    }
  });
}

void Fronts<ThreadSafe>::resume() noexcept {
  for_each_front([](Front& front) { front.paused.store(0, std::memory_order_release); });
}

// Its own thread is here, so that nobody has it in hand; the mutex keeps others from looking at it.
void Fronts<ThreadSafe>::thread_ends(std::uint32_t number) noexcept {
  const std::scoped_lock lock(mutex_);
  if (Front* front = table_[number].load(std::memory_order_relaxed); front != nullptr) {
    owner_.empty(owner_.core, *front);
  }
}

}  // namespace vaspace
