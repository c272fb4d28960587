// T2: while the driver has one thread's call, the others get on.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <thread>
#include <vector>

#include "ledger.hpp"

namespace vaspace::test {
namespace {

// Holds back the next reserve, release or invalidate until it is let go.
class Gate : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  void hold_next_reserve() { reserve_ = true; }
  void hold_next_release() { release_ = true; }
  void hold_next_invalidate() { invalidate_ = true; }
  void wait_until_held() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return inside_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  Result<Reservation> reserve(const ReservationRequest& request) noexcept override {
    hold(reserve_);
    return next().reserve(request);
  }
  Result<void> release(const Reservation& reservation) noexcept override {
    hold(release_);
    return next().release(reservation);
  }
  Result<void> invalidate(Address address, Bytes size) noexcept override {
    hold(invalidate_);
    return next().invalidate(address, size);
  }

 private:
  void hold(std::atomic<bool>& armed) {
    if (!armed.exchange(false)) return;
    std::unique_lock lock(mutex_);
    inside_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }

  std::atomic<bool> reserve_{false};
  std::atomic<bool> release_{false};
  std::atomic<bool> invalidate_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool inside_ = false;
  bool open_ = false;
};

// A driver call under way holds up nobody who needs none.
TEST(HeapThreads, ADriverCallHoldsUpNobodyElse_T2) {
  PlainDevice device(discrete());
  Gate gate(device);
  auto heap = *Heap::create(gate);
  const HeapAllocation warm = *heap.allocate(request_for(1_KiB));
  const HeapAllocation large = *heap.allocate(request_for(200_KiB));
  HeapRequest dedicated = request_for(1_MiB);
  dedicated.dedicated = DedicatedWish::required;
  for (const HeapRequest& slow : {dedicated, request_for(5_MiB), request_for(1_KiB, {}, Intent::upload)}) {
    Gate held(device);
    auto other = *Heap::create(held);
    other.free(*other.allocate(request_for(1_KiB)));
    const HeapAllocation mine = *other.allocate(request_for(200_KiB));
    held.hold_next_reserve();
    HeapAllocation made;
    std::thread waiting([&] { made = *other.allocate(slow); });
    held.wait_until_held();
    // Small and large things that are there, their frees, figures: all of it while the driver thinks.
    const HeapAllocation a = *other.allocate(request_for(1_KiB));
    const HeapAllocation b = *other.allocate(request_for(100_KiB));
    other.free(a);
    other.free(b);
    other.free(mine);
    (void)other.report();
    held.open();
    waiting.join();
    other.free(made);
    EXPECT_EQ(other.validate(), nullptr);
  }
  heap.free(warm);
  heap.free(large);
}

// Of a pool's blocks, or of the heap's own: who allocates, frees, reports or makes pools does not wait for
// the driver; who destroys the pool that a block leaves does.
TEST(HeapThreads, GivingBlocksBackHoldsUpNobodyElse_T2) {
  for (const bool trims : {false, true}) {
    PlainDevice device(discrete());
    Gate gate(device);
    auto heap = *Heap::create(gate);
    const PoolId first = *heap.create_pool({.memory_type = 0, .block_size = 1_MiB});
    const PoolId second = *heap.create_pool({.memory_type = 0, .block_size = 1_MiB, .keep = 1_MiB});
    HeapRequest request = request_for(10_KiB);
    request.pool = second;
    const HeapAllocation there = *heap.allocate(request);
    request.pool = first;
    heap.free(*heap.allocate(request));
    gate.hold_next_release();
    std::thread giving([&] { trims ? (void)heap.trim() : heap.collect(); });
    gate.wait_until_held();
    std::atomic<bool> done{false};
    std::thread other([&] {
      for (const PoolId pool : {second, PoolId{}}) {
        request.pool = pool;
        heap.free(*heap.allocate(request));
      }
      (void)heap.report();
      EXPECT_TRUE(heap.report(first));
      EXPECT_TRUE(heap.destroy_pool(*heap.create_pool({.memory_type = 0})));
      done = true;
    });
    for (int i = 0; i < 2000 && !done; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_TRUE(done) << "it waits for the driver";
    std::atomic<bool> destroyed{false};
    std::thread destroying([&] {
      EXPECT_TRUE(heap.destroy_pool(first));
      destroyed = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(destroyed) << "somebody is in it";
    gate.open();
    giving.join();
    other.join();
    destroying.join();
    EXPECT_EQ(heap.report(first).error().code, ErrorCode::stale_handle);
    EXPECT_EQ(heap.validate(), nullptr);
    heap.free(there);
    EXPECT_TRUE(heap.destroy_pool(second));
    EXPECT_EQ(heap.trim(), 0_B);
    EXPECT_EQ(device.held_objects(), 0U);
  }
}

// Margins are looked at in memory that the driver has to be asked for first; what is freed meanwhile stays
// where it is until it has been looked at.
TEST(HeapThreads, ALookAtMarginsHoldsUpNobodyElse_T2) {
  PlainDevice device(discrete(8_GiB, 64_B));
  Gate gate(device);
  auto heap = *Heap::create(
      gate, {.non_coherent_atom = Alignment{64}, .keep = 0_B, .keep_percent = 0, .guards = {.margin = 64_B}});
  HeapRequest request = request_for(200_KiB, Alignment{256}, Intent::readback);
  request.mapping = Mapping::required;
  const HeapAllocation looked_at = *heap.allocate(request);
  const HeapAllocation broken = *heap.allocate(request);
  broken.mapped[broken.size.value] = std::byte{1};
  gate.hold_next_invalidate();
  Result<HeapAllocationInfo> found = HeapAllocationInfo{};
  std::thread looking([&] { found = heap.check_corruption(); });
  gate.wait_until_held();
  std::atomic<bool> done{false};
  std::thread other([&] {
    heap.free(looked_at);
    const HeapAllocation fresh = *heap.allocate(request);
    EXPECT_NE(fresh.address, looked_at.address) << "somebody looks at it";
    heap.free(fresh);
    heap.collect();
    (void)heap.report();
    done = true;
  });
  for (int i = 0; i < 2000 && !done; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(done) << "it waits for the driver";
  gate.open();
  looking.join();
  other.join();
  EXPECT_EQ(found->allocation.id, broken.id);
  broken.mapped[broken.size.value] = std::byte{0xFD};
  EXPECT_EQ(heap.report().total.allocations, 1U);
  heap.free(broken);
  EXPECT_EQ(heap.trim(), 0_B);
  EXPECT_EQ(heap.validate(), nullptr);
  EXPECT_EQ(device.broken(), std::vector<std::string>{});
}

}  // namespace
}  // namespace vaspace::test
