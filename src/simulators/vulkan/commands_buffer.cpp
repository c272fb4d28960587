// Commands on buffers: copy, fill, update.
#include <algorithm>

#include "calls.hpp"
#include "device.hpp"
#include "report.hpp"
#include "touch.hpp"
#include "transfer.hpp"

namespace vasim {
namespace {

using Number = unsigned long long;

// D6 and false where the range leaves the buffer.
bool check_range(const Buffer& buffer, VkDeviceSize offset, VkDeviceSize size) {
  if (size != 0 && offset < buffer.size && size <= buffer.size - offset) return true;
  report("D6", buffer.describe(),
         text("%llu bytes at %llu leave its %llu", Number{size}, Number{offset}, Number{buffer.size}));
  return false;
}

void copy_bytes(const Buffer& source, Buffer& target, const VkBufferCopy& region) {
  std::byte chunk[16384];
  for (VkDeviceSize done = 0; done < region.size; done += sizeof(chunk)) {
    const VkDeviceSize size = std::min<VkDeviceSize>(sizeof(chunk), region.size - done);
    source.read(region.srcOffset + done, chunk, size);
    target.write(region.dstOffset + done, chunk, size);
  }
}

}  // namespace

namespace api {

void CmdCopyBuffer(VkCommandBuffer handle, VkBuffer source_handle, VkBuffer target_handle,
                   std::uint32_t count, const VkBufferCopy* regions) {
  CommandBuffer& commands = from(handle);
  const auto source = commands.device.objects.find<Buffer>(source_handle);
  const auto target = commands.device.objects.find<Buffer>(target_handle);
  if (source == nullptr || target == nullptr) return;
  need_usage(*source, (source->usage & VK_BUFFER_USAGE_TRANSFER_SRC_BIT) != 0, "TRANSFER_SRC");
  need_usage(*target, (target->usage & VK_BUFFER_USAGE_TRANSFER_DST_BIT) != 0, "TRANSFER_DST");
  std::vector<VkBufferCopy> copies;
  for (std::uint32_t i = 0; i < count; ++i)
    if (check_range(*source, regions[i].srcOffset, regions[i].size) &&
        check_range(*target, regions[i].dstOffset, regions[i].size))
      copies.push_back(regions[i]);
  commands.record({source, target}, [source, target, copies = std::move(copies)](Execution& execution) {
    for (const VkBufferCopy& copy : copies) {
      touch(execution, *source, {copy.srcOffset, copy.srcOffset + copy.size}, Use::Read);
      touch(execution, *target, {copy.dstOffset, copy.dstOffset + copy.size}, Use::Write);
      copy_bytes(*source, *target, copy);
    }
  });
}

void CmdFillBuffer(VkCommandBuffer handle, VkBuffer buffer, VkDeviceSize offset, VkDeviceSize size,
                   std::uint32_t data) {
  CommandBuffer& commands = from(handle);
  const auto target = commands.device.objects.find<Buffer>(buffer);
  if (target == nullptr) return;
  need_usage(*target, (target->usage & VK_BUFFER_USAGE_TRANSFER_DST_BIT) != 0, "TRANSFER_DST");
  if (size == VK_WHOLE_SIZE && offset < target->size) size = (target->size - offset) / 4 * 4;
  if (!check_range(*target, offset, size)) return;
  commands.record({target}, [=](Execution& execution) {
    touch(execution, *target, {offset, offset + size}, Use::Write);
    target->fill(offset, &data, sizeof(data), size);
  });
}

void CmdUpdateBuffer(VkCommandBuffer handle, VkBuffer buffer, VkDeviceSize offset, VkDeviceSize size,
                     const void* data) {
  CommandBuffer& commands = from(handle);
  const auto target = commands.device.objects.find<Buffer>(buffer);
  if (target == nullptr || !check_range(*target, offset, size)) return;
  need_usage(*target, (target->usage & VK_BUFFER_USAGE_TRANSFER_DST_BIT) != 0, "TRANSFER_DST");
  const auto* const first = static_cast<const std::byte*>(data);
  commands.record({target}, [=, bytes = std::vector<std::byte>(first, first + size)](Execution& execution) {
    touch(execution, *target, {offset, offset + size}, Use::Write);
    target->write(offset, bytes.data(), size);
  });
}

}  // namespace api
}  // namespace vasim
