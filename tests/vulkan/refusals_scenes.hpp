// What a library does with a driver, in a few scenes: each does all that it is about and takes it back.
#pragma once

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <unistd.h>
#include <utility>
#include <vector>

#include "vulkan/refusals_fixture.hpp"

namespace vaspace::test::scenes {

#define VASPACE_TRY(expression) \
  if (const auto& tried = (expression); !tried) return tried.error()

inline std::optional<Error> mapped_buffer(RefusalsTest& test) {
  const auto buffer = test.heap->create_buffer(
      {.size = 64_KiB, .usage = kTransfer, .intent = Intent::readback, .mapping = Mapping::required});
  VASPACE_TRY(buffer);
  VASPACE_TRY(test.heap->flush(*buffer));
  VASPACE_TRY(test.heap->invalidate(*buffer));
  return std::nullopt;
}

inline std::optional<Error> mapped_alone(RefusalsTest& test) {
  const auto buffer = test.heap->create_buffer({.size = 1_MiB,
                                                .usage = kTransfer,
                                                .intent = Intent::upload,
                                                .mapping = Mapping::required,
                                                .dedicated = DedicatedWish::required});
  VASPACE_TRY(buffer);
  return std::nullopt;
}

inline std::optional<Error> several_at_once(RefusalsTest& test) {
  const vulkan::BufferRequest request{
      .size = 1_MiB, .usage = kTransfer, .dedicated = DedicatedWish::required};
  const std::array<vulkan::BufferRequest, 3> requests{request, request, request};
  std::array<vulkan::Buffer, 3> all;
  VASPACE_TRY(test.heap->create_buffers(requests, all));
  return std::nullopt;
}

inline std::optional<Error> movable_buffer(RefusalsTest& test) {
  const auto buffer = test.heap->create_buffer({.size = 300_KiB, .usage = kTransfer, .movable = true});
  VASPACE_TRY(buffer);
  return std::nullopt;
}

inline std::optional<Error> dedicated_image(RefusalsTest& test) {
  const VkImageCreateInfo info = image_info(256);
  const auto image = test.heap->create_image({.info = &info, .dedicated = DedicatedWish::required});
  VASPACE_TRY(image);
  return std::nullopt;
}

inline std::optional<Error> shared_buffers(RefusalsTest& test) {
  const auto range = test.heap->alloc_buffer({.size = 5_KiB,
                                              .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
                                              .intent = Intent::dynamic,
                                              .mapping = Mapping::required});
  VASPACE_TRY(range);
  return std::nullopt;
}

inline std::optional<Error> sparse_pages(RefusalsTest& test) {
  std::vector<vulkan::Buffer> all;
  for (const Bytes size : {4_KiB, 100_KiB, 1_MiB}) {
    auto range = test.heap->alloc_buffer(size, kVertex);
    VASPACE_TRY(range);
    all.push_back(std::move(*range));
  }
  return std::nullopt;
}

// Pools are made with it, and go with it.
inline std::optional<Error> heap_of_its_own(RefusalsTest& test) {
  vulkan::HeapConfig config;
  config.memory.host = test.host.allocator();
  config.sparse = {.queue = test.gpu->sparse, .family = test.gpu->sparse_family};
  config.transfer = {.queue = test.gpu->graphics, .family = test.gpu->graphics_family};
  auto heap = vulkan::Heap::create(*test.backend, config);
  VASPACE_TRY(heap);
  const auto range = heap->alloc_buffer(100_KiB, kVertex);
  VASPACE_TRY(range);
  return std::nullopt;
}

inline std::optional<Error> retired(RefusalsTest& test) {
  auto buffer = test.heap->create_buffer({.size = 1_MiB, .usage = kTransfer});
  VASPACE_TRY(buffer);
  VASPACE_TRY(test.heap->retire(std::move(*buffer), {test.points, 1}));
  test.heap->collect();
  return std::nullopt;
}

inline std::optional<Error> moves(RefusalsTest& test) {
  std::vector<vulkan::Buffer> all;
  for (int i = 0; i < 10; ++i) {
    auto buffer = test.heap->create_buffer({.size = 400_KiB, .usage = kTransfer, .movable = true});
    VASPACE_TRY(buffer);
    all.push_back(std::move(*buffer));
  }
  for (std::size_t i = 0; i < all.size(); i += 2)
    all[i].reset();
  std::array<vulkan::ResourceMove, 4> planned;
  const auto count = test.heap->plan_moves({}, planned);
  VASPACE_TRY(count);
  const TimelinePoint passed{test.points, 1};
  for (std::uint32_t i = 0; i < *count; ++i) {
    if (i % 2 == 0) {
      VASPACE_TRY(test.heap->commit_move(planned[i], {&passed, 1}));
    } else {
      VASPACE_TRY(test.heap->abandon_move(planned[i], {&passed, 1}));
    }
  }
  test.heap->collect();
  return std::nullopt;
}

inline std::optional<Error> import_again(RefusalsTest& test, const HeapAllocation& memory) {
  const auto request = test.heap->memory().export_request(memory);
  VASPACE_TRY(request);
  const auto handle = test.heap->export_memory(memory);
  VASPACE_TRY(handle);
  const auto imported = test.heap->import_memory(*request, *handle);
  if (!imported) ::close(handle->fd);
  VASPACE_TRY(imported);
  test.heap->free(*imported);
  return std::nullopt;
}

inline std::optional<Error> exported_and_imported(RefusalsTest& test) {
  const auto memory = test.heap->allocate({(1_MiB).value, 256, 2}, {.exportable = true});
  VASPACE_TRY(memory);
  const std::optional<Error> error = import_again(test, *memory);
  test.heap->free(*memory);
  return error;
}

inline std::optional<Error> host_pointer(RefusalsTest& test) {
  const Bytes unit = test.backend->host_pointer_alignment();
  const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(unit.value, unit.value),
                                                           &std::free);
  const auto imported = test.heap->import_host_pointer({.pointer = memory.get(), .size = unit});
  VASPACE_TRY(imported);
  test.heap->free(*imported);
  test.heap->memory().trim();  // the memory goes back to us
  return std::nullopt;
}

// All that a sparse backend asks of a driver; what is left of it goes with it.
inline std::optional<Error> sparse_backend(RefusalsTest& test, bool residency) {
  vulkan::SparseConfig config = test.gpu->sparse_config();
  config.device = test.backend->config();
  config.device.features.sparse_residency_buffer = residency;
  const auto made = vulkan::SparseBackend::create(config);
  VASPACE_TRY(made);
  vulkan::SparseBackend& sparse = **made;
  const auto reservation = sparse.reserve({.size = 1_MiB});
  VASPACE_TRY(reservation);
  std::array<PhysicalId, 2> pages;
  if (residency) {
    VASPACE_TRY(sparse.create_physical({.size = 64_KiB}, pages));
    const std::array<BindOp, 2> put{{{reservation->address, 64_KiB, pages[0], {}},
                                     {reservation->address + 64_KiB, 64_KiB, pages[1], {}}}};
    VASPACE_TRY(sparse.bind(put, {}));
  }
  const CopyOp copy{reservation->address, reservation->address + 64_KiB, 64_KiB};
  const auto copied = sparse.copy({&copy, 1}, {});
  VASPACE_TRY(copied);
  VASPACE_TRY(sparse.wait(*copied, kForever));
  VASPACE_TRY(sparse.completed(*copied));
  if (residency) {
    const BindOp take{reservation->address, 128_KiB, {}, {}};
    const auto taken = sparse.bind({&take, 1}, {});
    VASPACE_TRY(taken);
    VASPACE_TRY(sparse.wait(*taken, kForever));
    VASPACE_TRY(sparse.destroy_physical(pages));
  }
  VASPACE_TRY(sparse.release(*reservation));
  return std::nullopt;
}
#undef VASPACE_TRY

}  // namespace vaspace::test::scenes
