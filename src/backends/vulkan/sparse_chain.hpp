// The timeline that all binds and copies of a sparse backend are links of, and the submits.
//
// Always true:
//  - Every submit waits for the value of the one before and signals a larger one: what the driver may
//    complete in any order is in order (V24), and timeline values only rise (V26).
//  - A submit that the driver refuses has used no value: the chain is as it was.
//  - What has been seen passed stays so; nothing that a lost device left undone is ever said to have passed.
#pragma once

#include <atomic>
#include <mutex>

#include "vaspace/backends/vulkan/sparse.hpp"
#include "vaspace/backends/vulkan/sparse_images.hpp"
#include "vaspace/base/host_array.hpp"

#include "driver.hpp"
#include "timeline_table.hpp"

namespace vaspace::vulkan {

// V31: the queues' families can do what is asked of them. Errors: invalid_configuration, out_of_host_memory.
[[nodiscard]] Result<void> check_families(const Driver& driver, const SparseConfig& config) noexcept;

// Semaphores and the values to wait for.
struct WaitList {
  explicit WaitList(const HostAllocator& host) noexcept : semaphores(host), values(host), stages(host) {}

  HostArray<VkSemaphore> semaphores;
  HostArray<std::uint64_t> values;
  HostArray<VkPipelineStageFlags> stages;

  [[nodiscard]] std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(values.size()); }
};

// One VkSparseMemoryBind in the making.
struct SparseOp {
  VkBuffer buffer = VK_NULL_HANDLE;
  VkSparseMemoryBind bind{};
  bool apart = false;  // shares a batch with no other op
};

// submit_*() and everything else that changes it: one thread at a time. reached(), last(), passed() and
// wait(): any thread.
class SparseChain {
 public:
  explicit SparseChain(const HostAllocator& host) noexcept
      : waits_(host),
        binds_(host),
        buffers_(host),
        tiles_(host),
        opaque_images_(host),
        tiled_images_(host),
        batches_(host),
        values_(host),
        commands_(host) {}
  SparseChain(const SparseChain&) = delete;
  SparseChain& operator=(const SparseChain&) = delete;
  ~SparseChain();

  // Errors: the driver's own. `driver` outlives this.
  [[nodiscard]] Result<void> create(const Driver& driver, const SparseConfig& config) noexcept;

  [[nodiscard]] VkSemaphore semaphore() const noexcept { return semaphore_; }
  [[nodiscard]] std::uint64_t last() const noexcept { return last_.load(std::memory_order_acquire); }
  // Up to which value nothing is under way: the largest that was seen passed, or, on a lost device, last().
  // Looks again where `wanted` is above what it saw.
  [[nodiscard]] std::uint64_t reached(std::uint64_t wanted) noexcept;
  // The same. Errors: the driver's own, where it did not say.
  [[nodiscard]] Result<std::uint64_t> look(std::uint64_t wanted) noexcept;
  // Errors: invalid_argument (never answered), device_lost, the driver's own.
  [[nodiscard]] Result<bool> passed(std::uint64_t value) noexcept;
  [[nodiscard]] Result<void> wait(std::uint64_t value, std::uint64_t timeout_ns) noexcept;
  // Until everything has passed or the device is lost, whatever a driver refuses on the way.
  void drain() noexcept;

  // What the next submit waits for beside the chain. Errors: invalid_argument, out_of_host_memory.
  [[nodiscard]] Result<void> set_waits(std::span<const TimelinePoint> waits,
                                       TimelineTable& timelines) noexcept;
  // All ops in order; neighbours become one bind. Answers the value at the end. Errors: out_of_host_memory,
  // the driver's own.
  [[nodiscard]] Result<std::uint64_t> submit_binds(std::span<const SparseOp> ops) noexcept;
  // The same for images, all in one batch: they do not overlap (V23).
  [[nodiscard]] Result<std::uint64_t> submit_image_binds(std::span<const ImageBind> binds) noexcept;
  // A copy between two buffers.
  struct Copy {
    VkBuffer source = VK_NULL_HANDLE;
    VkBuffer destination = VK_NULL_HANDLE;
    VkBufferCopy region{};
  };
  [[nodiscard]] Result<std::uint64_t> submit_copies(std::span<const Copy> copies) noexcept;

 private:
  struct Values {
    std::uint64_t before = 0;
    std::uint64_t after = 0;
    VkTimelineSemaphoreSubmitInfo info{};
  };
  struct Commands {
    VkCommandBuffer buffer = VK_NULL_HANDLE;
    std::uint64_t done = 0;  // the value at which it is
  };

  // That the device has passed it.
  std::uint64_t note(std::uint64_t value) noexcept;
  [[nodiscard]] Result<void> gather(std::span<const SparseOp> ops) noexcept;
  void add_bind(const SparseOp& op, bool new_batch) noexcept;
  void add_opaque(const ImageBind& bind) noexcept;
  void add_tiles(const ImageBind& bind) noexcept;
  [[nodiscard]] Result<std::uint64_t> queue_binds() noexcept;
  [[nodiscard]] Result<VkCommandBuffer> record(std::span<const Copy> copies) noexcept;
  void free_passed_commands() noexcept;

  const Driver* driver_ = nullptr;
  Queue sparse_{};
  Queue transfer_{};
  VkSemaphore semaphore_ = VK_NULL_HANDLE;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  std::atomic<std::uint64_t> last_{0};
  std::atomic<std::uint64_t> reached_{0};  // seen passed
  // Of the submit in the making; kept for their memory. The first wait is the chain's own.
  WaitList waits_;
  HostArray<VkSparseMemoryBind> binds_;
  HostArray<VkSparseBufferMemoryBindInfo> buffers_;
  HostArray<VkSparseImageMemoryBind> tiles_;
  HostArray<VkSparseImageOpaqueMemoryBindInfo> opaque_images_;
  HostArray<VkSparseImageMemoryBindInfo> tiled_images_;
  HostArray<VkBindSparseInfo> batches_;
  HostArray<Values> values_;
  HostArray<Commands> commands_;
};

}  // namespace vaspace::vulkan
