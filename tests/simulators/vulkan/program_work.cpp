// What a program does with its device: recording, submitting, binding, reading back.
#include "named.hpp"
#include "program.hpp"

namespace vasim::test {

VkCommandBuffer Program::record(const std::function<void(VkCommandBuffer)>& commands) {
  auto info = named<VkCommandBufferAllocateInfo>(VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO);
  info.commandPool = pool_;
  info.commandBufferCount = 1;
  VkCommandBuffer out = VK_NULL_HANDLE;
  check(vkAllocateCommandBuffers(device, &info, &out), "vkAllocateCommandBuffers");
  const auto begin = named<VkCommandBufferBeginInfo>(VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO);
  check(vkBeginCommandBuffer(out, &begin), "vkBeginCommandBuffer");
  commands(out);
  check(vkEndCommandBuffer(out), "vkEndCommandBuffer");
  return out;
}

namespace {

struct Flat {
  std::vector<VkSemaphore> semaphores;
  std::vector<std::uint64_t> values;

  explicit Flat(const std::vector<Point>& points) {
    for (const Point& point : points) {
      semaphores.push_back(point.semaphore);
      values.push_back(point.value);
    }
  }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(values.size()); }
};

VkTimelineSemaphoreSubmitInfo values_of(const Flat& waits, const Flat& signals) {
  return {VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
          nullptr,
          waits.count(),
          waits.values.data(),
          signals.count(),
          signals.values.data()};
}

}  // namespace

void Program::submit(const Submit& what, VkQueue to) const {
  const Flat waits(what.waits), signals(what.signals);
  const VkTimelineSemaphoreSubmitInfo values = values_of(waits, signals);
  const std::vector<VkPipelineStageFlags> stages(what.waits.size(), VK_PIPELINE_STAGE_ALL_COMMANDS_BIT);
  auto info = named<VkSubmitInfo>(VK_STRUCTURE_TYPE_SUBMIT_INFO);
  if (what.with_values && timeline) info.pNext = &values;
  info.waitSemaphoreCount = waits.count();
  info.pWaitSemaphores = waits.semaphores.data();
  info.pWaitDstStageMask = stages.data();
  info.commandBufferCount = static_cast<std::uint32_t>(what.buffers.size());
  info.pCommandBuffers = what.buffers.data();
  info.signalSemaphoreCount = signals.count();
  info.pSignalSemaphores = signals.semaphores.data();
  check(vkQueueSubmit(to == VK_NULL_HANDLE ? queue : to, 1, &info, what.fence), "vkQueueSubmit");
}

void Program::run(const std::function<void(VkCommandBuffer)>& commands) {
  const VkFence done = fence();
  submit({{}, {}, {record(commands)}, done, true});
  wait(done);
}

VkResult Program::try_bind(const std::vector<Binds>& batches, VkFence done, VkQueue to) const {
  struct Kept {
    Flat waits, signals;
    VkTimelineSemaphoreSubmitInfo values;
    std::vector<VkSparseBufferMemoryBindInfo> buffers;
    std::vector<VkSparseImageOpaqueMemoryBindInfo> opaque;
    std::vector<VkSparseImageMemoryBindInfo> tiles;
  };
  std::vector<Kept> kept;
  std::vector<VkBindSparseInfo> infos;
  kept.reserve(batches.size());
  const auto count = [](const auto& list) { return static_cast<std::uint32_t>(list.size()); };
  for (const Binds& batch : batches) {
    Kept& keep = kept.emplace_back(Kept{Flat(batch.waits), Flat(batch.signals), {}, {}, {}, {}});
    keep.values = values_of(keep.waits, keep.signals);
    for (const auto& [object, binds] : batch.buffers)
      keep.buffers.push_back({object, count(binds), binds.data()});
    for (const auto& [object, binds] : batch.opaque)
      keep.opaque.push_back({object, count(binds), binds.data()});
    for (const auto& [object, binds] : batch.tiles)
      keep.tiles.push_back({object, count(binds), binds.data()});
    infos.push_back({VK_STRUCTURE_TYPE_BIND_SPARSE_INFO, timeline ? &keep.values : nullptr,
                     keep.waits.count(), keep.waits.semaphores.data(), count(keep.buffers),
                     keep.buffers.data(), count(keep.opaque), keep.opaque.data(), count(keep.tiles),
                     keep.tiles.data(), keep.signals.count(), keep.signals.semaphores.data()});
  }
  return vkQueueBindSparse(to == VK_NULL_HANDLE ? sparse_queue : to, count(infos), infos.data(), done);
}

void Program::bind(const std::vector<Binds>& batches, VkFence done) const {
  check(try_bind(batches, done), "vkQueueBindSparse");
}

void Program::bind_now(const Binds& binds) {
  const VkFence done = fence();
  bind({binds}, done);
  wait(done);
}

std::vector<unsigned char> Program::contents(VkBuffer object, VkDeviceSize size) {
  const VkBuffer target = buffer(size);
  const VkDeviceMemory read = back(target);
  run([&](VkCommandBuffer commands) {
    barrier(commands);
    const VkBufferCopy copy{0, 0, size};
    vkCmdCopyBuffer(commands, object, target, 1, &copy);
    barrier(commands);
  });
  const unsigned char* const bytes = map(read);
  std::vector<unsigned char> out(bytes, bytes + size);
  vkUnmapMemory(device, read);
  destroy(target);
  free(read);
  return out;
}

void Program::fill(VkBuffer object, VkDeviceSize offset, VkDeviceSize size, std::uint32_t word) {
  run([&](VkCommandBuffer commands) { vkCmdFillBuffer(commands, object, offset, size, word); });
}

VkSparseMemoryBind sparse_bind(VkDeviceSize offset, VkDeviceSize size, VkDeviceMemory memory,
                               VkDeviceSize memory_offset) {
  return {offset, size, memory, memory_offset, 0};
}

void to_general(VkCommandBuffer commands, VkImage image, std::uint32_t levels, std::uint32_t layers) {
  auto change = named<VkImageMemoryBarrier>(VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER);
  change.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT;
  change.oldLayout = VK_IMAGE_LAYOUT_UNDEFINED;
  change.newLayout = VK_IMAGE_LAYOUT_GENERAL;
  change.srcQueueFamilyIndex = change.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
  change.image = image;
  change.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, levels, 0, layers};
  vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0,
                       nullptr, 0, nullptr, 1, &change);
}

void barrier(VkCommandBuffer commands) {
  auto all = named<VkMemoryBarrier>(VK_STRUCTURE_TYPE_MEMORY_BARRIER);
  all.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  all.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_HOST_READ_BIT;
  vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                       VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &all, 0, nullptr, 0,
                       nullptr);
}

}  // namespace vasim::test
