// Several at once: all or none.
#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

template <class Request, class Resource, class Make>
Result<void> all_or_none(HeapState& state, std::span<const Request> requests, std::span<Resource> out,
                         const char* function, Make&& make) noexcept {
  if (requests.size() != out.size()) return state.refuse({ErrorCode::invalid_argument}, function);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Result<Resource> made = make(requests[i]);
    if (made) {
      out[i] = std::move(*made);
      continue;
    }
    while (i-- != 0)
      out[i].reset();
    // R7: what was taken for the first of them too, not in a collect.
    state.pools->flush();
    state.memory->give_back_unused();
    return fail(made.error());
  }
  return {};
}

}  // namespace

Result<void> Heap::create_buffers(std::span<const BufferRequest> requests, std::span<Buffer> out) noexcept {
  return all_or_none(*state_, requests, out, "Heap::create_buffers",
                     [this](const BufferRequest& request) { return create_buffer(request); });
}

Result<void> Heap::create_images(std::span<const ImageRequest> requests, std::span<Image> out) noexcept {
  return all_or_none(*state_, requests, out, "Heap::create_images",
                     [this](const ImageRequest& request) { return create_image(request); });
}

Result<void> Heap::alloc_buffers(std::span<const BufferRequest> requests, std::span<Buffer> out) noexcept {
  return all_or_none(*state_, requests, out, "Heap::alloc_buffers",
                     [this](const BufferRequest& request) { return alloc_buffer(request); });
}

}  // namespace vaspace::vulkan
