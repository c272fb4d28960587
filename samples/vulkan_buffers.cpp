// Buffers without boilerplate: ranges of large shared buffers, an upload ring, and retiring what the device
// still uses. Meshes are for the device alone and go through the ring; what moves every frame is written
// directly where the host sees the device's memory. A page of a renderer's memory code; no window, no shader.
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

struct Sums {
  std::uint64_t staged = 0, direct = 0;
};

template <class T>
Buffer range_for(Heap& heap, const std::vector<T>& contents, vaspace::Mapping mapping, const char* name) {
  return must(heap.alloc_buffer({.size = vaspace::Bytes{contents.size() * sizeof(T)},
                                 .usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT,
                                 .mapping = mapping,
                                 .name = name}),
              "alloc_buffer");
}

// A range that has come back is written again: after the copy that wrote it for the mesh before.
void order_copies(VkCommandBuffer commands) {
  VkMemoryBarrier barrier{};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = barrier.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1,
                       &barrier, 0, nullptr, 0, nullptr);
}

void record(VkCommandBuffer commands, const vaspace::vulkan::Upload& upload, Sums& sums) {
  (upload.direct ? sums.direct : sums.staged) += upload.size.value;
  if (upload.direct) return;
  const VkBufferCopy region{upload.source_offset.value, upload.destination_offset.value, upload.size.value};
  vkCmdCopyBuffer(commands, upload.source, upload.destination, 1, &region);
}

int run() {
  int messages = 0;
  Sums sums;
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

    // A mesh a frame comes, the one of ten frames ago goes; the device may still be using it. So do the
    // places of its instances.
    std::vector<Buffer> live;
    for (std::uint64_t frame = 1; frame <= 100; ++frame) {
      std::vector<std::uint32_t> vertices(1000 + 37 * frame);
      std::iota(vertices.begin(), vertices.end(), static_cast<std::uint32_t>(frame));
      const std::vector<float> places(16 * 50, 1.0F);
      Buffer mesh = range_for(heap, vertices, vaspace::Mapping::none, "mesh");
      Buffer instances = range_for(heap, places, vaspace::Mapping::preferred, "instances");
      // Writes where the host sees the memory, stages where it does not.
      const vaspace::vulkan::Upload uploads[] = {
          must(ring.upload(mesh, 0_B, std::as_bytes(std::span(vertices))), "upload"),
          must(ring.upload(instances, 0_B, std::as_bytes(std::span(places))), "upload")};
      queue.submit(frame, [&](VkCommandBuffer commands) {
        order_copies(commands);
        for (const auto& upload : uploads)
          record(commands, upload, sums);
      });
      must(ring.close(frame), "close");
      live.push_back(std::move(mesh));
      live.push_back(std::move(instances));
      if (live.size() > 20) {
        const vaspace::TimelinePoint done{frames, frame};
        must(heap.retire(std::span(live).first(2), {&done, 1}), "retire");
        live.erase(live.begin(), live.begin() + 2);
      }
      heap.collect();  // once a frame: what the device has passed comes back
      must(ring.collect(), "collect");
    }
    const auto report = heap.report();
    std::printf("%llu bytes staged, %llu written directly\n", static_cast<unsigned long long>(sums.staged),
                static_cast<unsigned long long>(sums.direct));
    std::printf("%llu sub-buffers of %llu bytes in %llu bytes of memory, %llu memory objects\n",
                static_cast<unsigned long long>(report.sub_buffers),
                static_cast<unsigned long long>(report.sub_buffer_live.value),
                static_cast<unsigned long long>(report.sub_buffer_committed.value),
                static_cast<unsigned long long>(report.memory.memory_objects));
    queue.wait_for(100);
  }
  std::printf("%d validation messages\n", messages);
  // What is not mapped is staged on every device.
  return messages == 0 && sums.staged > 0 ? 0 : 1;
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
