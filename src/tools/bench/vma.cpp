#include "bench/vma.hpp"

#include "failed.hpp"

#ifdef VASPACE_BENCH_VMA

// Of its implementation the virtual block alone is called: it needs no function of Vulkan's.
#define VMA_STATIC_VULKAN_FUNCTIONS 0
#define VMA_DYNAMIC_VULKAN_FUNCTIONS 0
#define VMA_IMPLEMENTATION
#include <vk_mem_alloc.h>

namespace vaspace::tools::bench {

namespace {

// Its default algorithm: TLSF with a list for small sizes.
class VmaSubject {
 public:
  using Handle = VmaVirtualAllocation;

  explicit VmaSubject(const Setup& setup) {
    const VmaVirtualBlockCreateInfo info{
        .size = setup.heap.value, .flags = 0, .pAllocationCallbacks = nullptr};
    if (vmaCreateVirtualBlock(&info, &block_) != VK_SUCCESS)
      throw Failed("cannot make a virtual block of VMA");
  }
  VmaSubject(const VmaSubject&) = delete;
  VmaSubject& operator=(const VmaSubject&) = delete;
  ~VmaSubject() {
    vmaClearVirtualBlock(block_);
    vmaDestroyVirtualBlock(block_);
  }
  // Its functions lie in this file, and would be inlined.
  [[gnu::noinline]] Handle allocate(std::uint32_t size, unsigned alignment_log2) {
    const VmaVirtualAllocationCreateInfo info{
        .size = size, .alignment = VkDeviceSize{1} << alignment_log2, .flags = 0, .pUserData = nullptr};
    Handle handle = VK_NULL_HANDLE;
    VkDeviceSize offset = 0;
    if (vmaVirtualAllocate(block_, &info, &handle, &offset) != VK_SUCCESS) [[unlikely]]
      ++refused_;
    return handle;
  }
  [[gnu::noinline]] void free(Handle handle) { vmaVirtualFree(block_, handle); }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  VmaVirtualBlock block_ = VK_NULL_HANDLE;
  std::uint64_t refused_ = 0;
};

}  // namespace

bool have_vma() {
  return true;
}

std::unique_ptr<Session> make_vma(const Setup& setup) {
  return std::make_unique<SessionOf<VmaSubject>>(setup);
}

}  // namespace vaspace::tools::bench

#else

namespace vaspace::tools::bench {

bool have_vma() {
  return false;
}

std::unique_ptr<Session> make_vma(const Setup&) {
  throw Failed("this vaspace was built without VMA");
}

}  // namespace vaspace::tools::bench

#endif
