// Three vertex buffers of different sizes in one block of device memory, and copies between them.
//
// A driver allows only so many memory objects, and each is slow to get: a renderer takes large blocks and
// cuts them up itself. Here the Vulkan backend gets one block, the object allocator says where in it each
// buffer goes, and the rest is the Vulkan that a renderer has anyway.
#include <array>
#include <cstdio>
#include <exception>
#include <string>

#include "vaspace/backends/vulkan.hpp"
#include "vaspace/range/object_allocator.hpp"

#include "headless_vulkan.hpp"

using namespace vaspace::literals;
using vaspace::Bytes;

// The value, or an exception that says what could not be had and why.
template <class T>
T take(vaspace::Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(std::string(what) + ": " + to_string(result.error().code));
  return std::move(*result);
}
void take(const vaspace::Result<void>& result, const char* what) {
  if (!result) throw std::runtime_error(std::string(what) + ": " + to_string(result.error().code));
}

struct VertexBuffer {
  char letter;
  Bytes size;
  VkDevice device;
  VkBuffer handle = VK_NULL_HANDLE;
  VkMemoryRequirements needs{};
  vaspace::Range range{};      // where in the block
  vaspace::Address address{};  // the same as the backend's address

  VertexBuffer(char name, Bytes bytes, VkDevice dev) : letter(name), size(bytes), device(dev) {
    VkBufferCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
    info.size = size.value;
    info.usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    check(vkCreateBuffer(device, &info, nullptr, &handle), "vkCreateBuffer");
    vkGetBufferMemoryRequirements(device, handle, &needs);
  }
  VertexBuffer(const VertexBuffer&) = delete;
  VertexBuffer& operator=(const VertexBuffer&) = delete;
  ~VertexBuffer() { vkDestroyBuffer(device, handle, nullptr); }
};

// A memory type that every buffer may lie in and that the host can see.
std::uint32_t pick_type(const vaspace::DeviceProfile& profile, std::uint32_t allowed) {
  for (std::uint32_t type = 0; type < profile.memory_type_count; ++type) {
    if ((allowed >> type & 1U) != 0 && profile.memory_types[type].host_visible) return type;
  }
  throw std::runtime_error("no memory type suits all three buffers");
}

// The block to scale: |--a--|==b==|...|, dots are free.
void draw(const std::array<VertexBuffer, 3>& buffers, Bytes block) {
  constexpr std::uint64_t kWidth = 72;
  std::string line(kWidth, '.');
  char fill = '-';
  for (const VertexBuffer& buffer : buffers) {
    const std::uint64_t begin = buffer.range.offset.value * kWidth / block.value;
    const std::uint64_t end = buffer.range.end().value * kWidth / block.value;
    for (std::uint64_t at = begin; at < end; ++at)
      line[at] = fill;
    line[begin] = '|';
    line[(begin + end) / 2] = buffer.letter;
    if (end < kWidth) line[end] = '|';
    fill = fill == '-' ? '=' : '-';
  }
  std::printf("%s|\n", line.c_str());
}

// A copy, and then whatever `stage` and `access` name may read it.
void copy(VkCommandBuffer commands, const VertexBuffer& from, const VertexBuffer& to, Bytes size,
          VkPipelineStageFlags stage, VkAccessFlags access) {
  const VkBufferCopy region{0, 0, size.value};
  vkCmdCopyBuffer(commands, from.handle, to.handle, 1, &region);
  VkMemoryBarrier barrier{};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = access;
  vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, stage, 0, 1, &barrier, 0, nullptr, 0,
                       nullptr);
}

std::byte pattern(std::uint64_t i) {
  return static_cast<std::byte>(i * 131 + 7);
}

void run(HeadlessVulkan& gpu) {
  auto backend = take(vaspace::vulkan::Backend::create({.instance = gpu.instance,
                                                        .physical_device = gpu.physical_device,
                                                        .device = gpu.device,
                                                        .get_instance_proc_addr = vkGetInstanceProcAddr}),
                      "the Vulkan backend");
  std::array<VertexBuffer, 3> buffers = {VertexBuffer('a', 600_KiB, gpu.device),
                                         VertexBuffer('b', 900_KiB, gpu.device),
                                         VertexBuffer('c', 250_KiB, gpu.device)};
  const VertexBuffer &a = buffers[0], &b = buffers[1], &c = buffers[2];

  // One block for all of them, and an allocator for the offsets in it.
  std::uint32_t types = ~0U;
  for (const VertexBuffer& buffer : buffers)
    types &= buffer.needs.memoryTypeBits;
  const vaspace::Reservation block = take(
      backend->reserve({.size = 2_MiB, .memory_type = pick_type(backend->profile(), types)}), "the block");
  auto offsets = take(vaspace::ObjectAllocator::create({.capacity = block.size}), "the allocator");

  for (VertexBuffer& buffer : buffers) {
    buffer.range = take(offsets.allocate({.size = Bytes{buffer.needs.size},
                                          .alignment = vaspace::Alignment{buffer.needs.alignment}}),
                        "a range of the block");
    buffer.address = block.address + Bytes{buffer.range.offset.value};
    const vaspace::NativeRange at = take(backend->locate(buffer.address), "its place");
    check(vkBindBufferMemory(gpu.device, buffer.handle, (VkDeviceMemory)at.object, at.offset.value),
          "vkBindBufferMemory");
    std::printf("%c: %7llu bytes at offset %7llu\n", buffer.letter,
                static_cast<unsigned long long>(buffer.size.value),
                static_cast<unsigned long long>(buffer.range.offset.value));
  }
  draw(buffers, block.size);

  // The host fills a, the device copies a to b and the beginning of b to c, the host reads c.
  std::byte* const vertices = take(backend->map(a.address, a.size), "mapping a");
  for (std::uint64_t i = 0; i < a.size.value; ++i)
    vertices[i] = pattern(i);
  take(backend->flush(a.address, a.size), "flushing a");
  take(backend->unmap(a.address, a.size), "unmapping a");

  gpu.run([&](VkCommandBuffer commands) {
    copy(commands, a, b, a.size, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT);
    copy(commands, b, c, c.size, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
  });

  const std::byte* const copied = take(backend->map(c.address, c.size), "mapping c");
  take(backend->invalidate(c.address, c.size), "invalidating c");
  for (std::uint64_t i = 0; i < c.size.value; ++i) {
    if (copied[i] != pattern(i)) throw std::runtime_error("byte " + std::to_string(i) + " of c is wrong");
  }
  take(backend->unmap(c.address, c.size), "unmapping c");
  std::printf("a -> b -> c: %llu bytes arrived on %s\n", static_cast<unsigned long long>(c.size.value),
              backend->profile().name.data());

  for (VertexBuffer& buffer : buffers)
    take(offsets.try_free(buffer.range.id), "freeing a range");
  // What is left goes in the opposite order of its coming: the buffers, then the backend with its block.
}

int main() {
  int messages = 0;
  try {
    HeadlessVulkan gpu(messages);
    run(gpu);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "01_suballocate: %s\n", error.what());
    return 1;
  }
  if (messages != 0) std::fprintf(stderr, "01_suballocate: %d validation messages\n", messages);
  return messages == 0 ? 0 : 1;
}
