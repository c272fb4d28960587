#include "sparse_bind.hpp"

#include <algorithm>

#include "buffer.hpp"
#include "calls.hpp"
#include "chain.hpp"
#include "device.hpp"
#include "memory_files.hpp"
#include "submit.hpp"
#include "touch.hpp"

namespace vasim {
namespace {

using Number = unsigned long long;

bool any_unfinished(const Order& order, const std::vector<OperationId>& operations) {
  return std::any_of(operations.begin(), operations.end(),
                     [&](OperationId id) { return order.unfinished(id); });
}

void add_once(std::vector<OperationId>& operations, OperationId id) {
  if (operations.empty() || operations.back() != id) operations.push_back(id);
}

// V23: no two binds of one batch may meet.
void check_batch(const std::vector<SparseBind>& binds) {
  std::vector<const SparseBind*> sorted;
  for (const SparseBind& bind : binds)
    sorted.push_back(&bind);
  std::sort(sorted.begin(), sorted.end(), [](const SparseBind* a, const SparseBind* b) {
    return std::pair(a->resource->handle, a->bytes.begin) < std::pair(b->resource->handle, b->bytes.begin);
  });
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i - 1]->resource == sorted[i]->resource && sorted[i - 1]->bytes.meets(sorted[i]->bytes))
      report("V23", sorted[i]->resource->describe(),
             text("one batch binds [%llu, %llu) more than once", Number{sorted[i]->bytes.begin},
                  Number{sorted[i]->bytes.end}));
}

// Takes away what is there, and notes in the memory that this operation did.
void release(Batch& batch, const SparseBind& bind) {
  Resource& resource = *bind.resource;
  for (VkDeviceSize at = bind.bytes.begin; at < bind.bytes.end;) {
    VkDeviceSize begin = 0, run = 0;
    const SparseMap::Piece* const piece = resource.map.find(at, bind.bytes.end, begin, run);
    if (piece != nullptr) {
      piece->memory->releases.push_back({piece->offset + (at - begin), run, batch.operation});
      add_once(piece->memory->binders, batch.operation);
    }
    at += run;
  }
  resource.map.assign(bind.bytes.begin, bind.bytes.end - bind.bytes.begin, nullptr, 0);
}

// The pieces of a resource that are bound to these bytes of the memory.
template <class Found>
void for_aliases(const Resource& resource, const Memory& memory, Bytes bytes, Found&& found) {
  for (const auto& [begin, piece] : resource.map.pieces())
    if (piece.memory.get() == &memory && bytes.meets({piece.offset, piece.offset + piece.size}))
      found(Bytes{begin, begin + piece.size});
}

// V29, or V27 where the other binding was about to go and nothing says that it went first.
void check_aliases(Device& device, const Batch& batch, const SparseBind& bind) {
  Memory& memory = *bind.memory;
  const Bytes bytes{bind.offset, bind.offset + (bind.bytes.end - bind.bytes.begin)};
  const auto broken = [&](const char* rule, const std::string& reason) {
    report(rule, bind.resource->describe(),
           memory.describe() + text(" [%llu, %llu) ", Number{bytes.begin}, Number{bytes.end}) + reason);
  };
  for (const Resource* const other : memory.residents)
    if (bytes.meets({other->memory_offset, other->memory_offset + other->requirements.size}))
      broken("D5", "is bound to " + other->describe() + " as a whole");
  for (const Resource* const other : memory.sparse_residents)
    for_aliases(*other, memory, bytes, [&](Bytes there) {
      if (is_bind_expected(*other, there)) {
        broken("V27", "is bound again and nothing waits for its unbind from " + other->describe());
      } else if (!other->aliased || !bind.resource->aliased) {
        broken("V29", "is bound at " + other->describe() + " too, without SPARSE_ALIASED");
      }
    });
  for (const Memory::Release& one : memory.releases)
    if (one.operation != batch.operation && bytes.meets({one.offset, one.offset + one.size}) &&
        !device.order.before(one.operation, batch.known))
      return broken("V27", "is bound again and nothing waits for its unbind");
}

void bind_memory(Device& device, Batch& batch, const SparseBind& bind) {
  Memory& memory = *bind.memory;
  auto& gone = memory.releases;
  gone.erase(
      std::remove_if(gone.begin(), gone.end(),
                     [&](const Memory::Release& one) { return device.order.forgotten(one.operation); }),
      gone.end());
  check_aliases(device, batch, bind);
  Resource& resource = *bind.resource;
  resource.map.assign(bind.bytes.begin, bind.bytes.end - bind.bytes.begin, bind.memory, bind.offset);
  memory.sparse_residents.insert(&resource);
  resource.sparse_memories.insert(bind.memory);
}

// Memory that went long ago is not to be kept by the list of where to say good-bye.
void forget_memories(Resource& resource) {
  constexpr std::size_t kMany = 256;
  if (resource.sparse_memories.size() < kMany) return;
  std::set<std::shared_ptr<Memory>> there;
  for (const auto& [begin, piece] : resource.map.pieces())
    there.insert(piece.memory);
  for (const auto& memory : resource.sparse_memories)
    if (there.count(memory) == 0) memory->sparse_residents.erase(&resource);
  resource.sparse_memories = std::move(there);
}

std::vector<SparseBind> read_binds(Device& device, const VkBindSparseInfo& info) {
  std::vector<SparseBind> binds;
  for (std::uint32_t i = 0; i < info.bufferBindCount; ++i) {
    const VkSparseBufferMemoryBindInfo& one = info.pBufferBinds[i];
    const auto buffer = device.objects.find<Buffer>(one.buffer);
    for (std::uint32_t b = 0; buffer != nullptr && b < one.bindCount; ++b)
      read_bind(device, buffer, one.pBinds[b], binds);
  }
  for (std::uint32_t i = 0; i < info.imageOpaqueBindCount; ++i) {
    const VkSparseImageOpaqueMemoryBindInfo& one = info.pImageOpaqueBinds[i];
    const auto image = device.objects.find<Image>(one.image);
    for (std::uint32_t b = 0; image != nullptr && b < one.bindCount; ++b)
      read_bind(device, image, one.pBinds[b], binds);
  }
  for (std::uint32_t i = 0; i < info.imageBindCount; ++i) {
    const VkSparseImageMemoryBindInfo& one = info.pImageBinds[i];
    const auto image = device.objects.find<Image>(one.image);
    for (std::uint32_t b = 0; image != nullptr && b < one.bindCount; ++b)
      read_tiles(device, image, one.pBinds[b], binds);
  }
  return binds;
}

void add_semaphores(Device& device, Batch& batch, const VkBindSparseInfo& info) {
  const auto* const timeline = find_in_chain<VkTimelineSemaphoreSubmitInfo>(
      info.pNext, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
  for (std::uint32_t i = 0; i < info.waitSemaphoreCount; ++i) {
    const bool has = timeline != nullptr && i < timeline->waitSemaphoreValueCount;
    add_wait(device, batch, info.pWaitSemaphores[i], has ? timeline->pWaitSemaphoreValues[i] : 0, has);
  }
  for (std::uint32_t i = 0; i < info.signalSemaphoreCount; ++i) {
    const bool has = timeline != nullptr && i < timeline->signalSemaphoreValueCount;
    add_signal(device, batch, info.pSignalSemaphores[i], has ? timeline->pSignalSemaphoreValues[i] : 0, has);
  }
}

// From now on the operation uses the resources and the memory.
void expect(const Device& device, const Batch& batch, const std::vector<SparseBind>& binds) {
  for (const SparseBind& bind : binds) {
    device.order.forget_from(bind.resource->users);
    add_once(bind.resource->users, batch.operation);
    expect_bind(batch.operation, *bind.resource, bind.bytes);
    if (bind.memory == nullptr) continue;
    device.order.forget_from(bind.memory->binders);
    add_once(bind.memory->binders, batch.operation);
  }
}

}  // namespace

void carry_out(Device& device, Batch& batch, const std::vector<SparseBind>& binds) {
  for (const SparseBind& bind : binds) {
    touch_by_bind(device, batch, *bind.resource, bind.bytes);
    release(batch, bind);
  }
  for (const SparseBind& bind : binds)
    if (bind.memory != nullptr && !bind.memory->destroyed) bind_memory(device, batch, bind);
  for (const SparseBind& bind : binds)
    forget_memories(*bind.resource);
}

void check_freed(Device& device, Memory& memory) {
  if (device.lost) return;  // nothing is at work any more
  if (any_unfinished(device.order, memory.users))
    report("D2", memory.describe(), "is freed while a submitted command uses it");
  bool expected = any_unfinished(device.order, memory.binders);
  for (const Resource* const resource : memory.sparse_residents)
    for_aliases(*resource, memory, {0, memory.info.size},
                [&](Bytes there) { expected = expected || is_bind_expected(*resource, there); });
  if (expected)
    report("V27", memory.describe(),
           "is freed and the host has not waited for the bind or unbind that was submitted");
}

namespace api {

VkResult QueueBindSparse(VkQueue handle, std::uint32_t count, const VkBindSparseInfo* infos, VkFence fence) {
  Queue& queue = from(handle);
  Device& device = queue.device;
  const std::lock_guard lock(device.mutex);
  if (device.lost) return VK_ERROR_DEVICE_LOST;
  if ((queue.capabilities() & VK_QUEUE_SPARSE_BINDING_BIT) == 0) {
    report("V31", queue.describe(), "binds sparse memory, and its family has no SPARSE_BINDING");
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  }
  if (count == 0 && fence == VK_NULL_HANDLE) return VK_SUCCESS;
  const auto call = std::make_shared<Clock>();
  const std::uint32_t batches = std::max(1U, count);
  for (std::uint32_t i = 0; i < batches; ++i) {
    auto batch = std::make_unique<Batch>();
    batch->operation = device.order.begin(batch->known);
    batch->call = call;
    if (i < count) {
      add_semaphores(device, *batch, infos[i]);
      std::vector<SparseBind> binds = read_binds(device, infos[i]);
      check_batch(binds);
      expect(device, *batch, binds);
      batch->work = [&device, binds = std::move(binds)](Batch& self) { carry_out(device, self, binds); };
    }
    if (i + 1 == batches) add_fence(device, *batch, fence);
    queue.enqueue(Queue::kBinds, std::move(batch));
  }
  return VK_SUCCESS;
}

}  // namespace api
}  // namespace vasim
