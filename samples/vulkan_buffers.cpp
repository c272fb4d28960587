// Buffers without boilerplate: ranges of large shared buffers, an upload ring, and retiring what the device
// still uses. A page of a renderer's memory code; no window, no shader.
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

#include "vaspace/frontends/vulkan.hpp"

#include "frame_queue.hpp"
#include "vulkan_must.hpp"

namespace {

using namespace vaspace::literals;
using vaspace::vulkan::Buffer;
using vaspace::vulkan::Heap;

int run() {
  int messages = 0;
  {
    HeadlessVulkan vulkan(messages);
    FrameQueue queue(vulkan);
    auto gpu = must(vaspace::vulkan::Backend::create({.instance = vulkan.instance,
                                                      .physical_device = vulkan.physical_device,
                                                      .device = vulkan.device,
                                                      .get_instance_proc_addr = vkGetInstanceProcAddr,
                                                      .features = {.timeline_semaphore = true}}),
                    "Backend::create");
    auto heap = must(Heap::create(*gpu), "Heap::create");
    const vaspace::TimelineId frames = must(heap.add_timeline(queue.timeline), "add_timeline");
    auto ring = must(vaspace::vulkan::UploadRing::create(heap, {.capacity = 1_MiB, .timeline = frames}),
                     "UploadRing");

    // A mesh a frame comes, the one of ten frames ago goes; the device may still be using it.
    std::vector<Buffer> meshes;
    std::uint64_t uploaded = 0, direct = 0;
    for (std::uint64_t frame = 1; frame <= 100; ++frame) {
      std::vector<std::uint32_t> vertices(1000 + 37 * frame);
      std::iota(vertices.begin(), vertices.end(), static_cast<std::uint32_t>(frame));
      const auto bytes = std::as_bytes(std::span(vertices));
      Buffer mesh = must(heap.alloc_buffer({.size = vaspace::Bytes{bytes.size()},
                                            .usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT,
                                            .mapping = vaspace::Mapping::preferred,
                                            .name = "mesh"}),
                         "alloc_buffer");
      // Writes where the host sees the memory, stages where it does not.
      const auto upload = must(ring.upload(mesh, 0_B, bytes), "upload");
      uploaded += bytes.size();
      direct += upload.direct ? bytes.size() : 0;
      queue.submit(frame, [&](VkCommandBuffer commands) {
        if (upload.direct) return;
        const VkBufferCopy region{upload.source_offset.value, upload.destination_offset.value,
                                  upload.size.value};
        vkCmdCopyBuffer(commands, upload.source, upload.destination, 1, &region);
      });
      must(ring.close(frame), "close");
      meshes.push_back(std::move(mesh));
      if (meshes.size() > 10) {
        must(heap.retire(std::move(meshes.front()), {frames, frame}), "retire");
        meshes.erase(meshes.begin());
      }
      heap.collect();  // once a frame: what the device has passed comes back
      must(ring.collect(), "collect");
    }
    const auto report = heap.report();
    std::printf("%llu bytes uploaded, %llu of them written directly\n",
                static_cast<unsigned long long>(uploaded), static_cast<unsigned long long>(direct));
    std::printf("%llu sub-buffers of %llu bytes in %llu bytes of memory, %llu memory objects\n",
                static_cast<unsigned long long>(report.sub_buffers),
                static_cast<unsigned long long>(report.sub_buffer_live.value),
                static_cast<unsigned long long>(report.sub_buffer_committed.value),
                static_cast<unsigned long long>(report.memory.memory_objects));
    queue.wait_for(100);
  }
  std::printf("%d validation messages\n", messages);
  return messages == 0 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
