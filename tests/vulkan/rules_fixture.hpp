// A heap whose configuration a test can turn, over its budget, its reports and what it does when it is
// refused.
#pragma once

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {

inline constexpr std::uint32_t kVertex = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;

class RulesTest : public HeapTest {
 protected:
  // As open(), but change(vulkan::HeapConfig&) has the last word.
  template <class Change>
  void open_with(const DeviceWish& wish, Change&& change) {
    open(wish);
    if (!heap) return;
    vulkan::HeapConfig config;
    config.memory.host = host.allocator();
    config.memory.small = small;
    config.memory.keep = 0_B;
    config.memory.keep_percent = 0;
    config.sub_buffer_retain = 0_B;
    config.sub_buffer_retain_percent = 0;
    config.sparse = {.queue = sparse ? gpu->sparse : VK_NULL_HANDLE, .family = gpu->sparse_family};
    config.transfer = {.queue = gpu->graphics, .family = gpu->graphics_family};
    config.families = gpu->families;
    config.on_refusal = {this, [](void* user, const vulkan::Refusal& refusal) noexcept {
                           RulesTest& test = *static_cast<RulesTest*>(user);
                           ++test.refusals;
                           test.last_function = refusal.function;
                           test.last_feature = refusal.feature;
                           test.last_driver = refusal.driver;
                         }};
    change(config);
    heap.emplace(vulkan::Heap::create(*backend, config).value());
  }
  // Sub-buffers of this request until one is refused; why it was.
  Error fill(const vulkan::BufferRequest& request, std::vector<vulkan::Buffer>& all) {
    for (;;) {
      auto made = heap->alloc_buffer(request);
      if (!made) return made.error();
      all.push_back(std::move(*made));
    }
  }
  // Of the heap of the device that has these sub-buffers' memory.
  HeapBudget budget(std::uint32_t of = 0) { return heap->memory().budget(of).value(); }
  Bytes committed() { return heap->report().memory.total.committed; }
};

}  // namespace vaspace::test
