// Several at once: all or none.
#include "heap_state.hpp"

namespace vaspace::vulkan {

namespace {

template <class Request, class Resource, class Make>
Result<void> all_or_none(vaspace::Heap& memory, std::span<const Request> requests, std::span<Resource> out,
                         Make&& make) noexcept {
  if (requests.size() != out.size()) return fail(ErrorCode::invalid_argument);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Result<Resource> made = make(requests[i]);
    if (made) {
      out[i] = std::move(*made);
      continue;
    }
    while (i-- != 0)
      out[i].reset();
    memory.give_back_unused();
    return fail(made.error());
  }
  return {};
}

}  // namespace

Result<void> Heap::create_buffers(std::span<const BufferRequest> requests, std::span<Buffer> out) noexcept {
  return all_or_none(*state_->memory, requests, out,
                     [this](const BufferRequest& request) { return create_buffer(request); });
}

Result<void> Heap::create_images(std::span<const ImageRequest> requests, std::span<Image> out) noexcept {
  return all_or_none(*state_->memory, requests, out,
                     [this](const ImageRequest& request) { return create_image(request); });
}

Result<void> Heap::alloc_buffers(std::span<const BufferRequest> requests, std::span<Buffer> out) noexcept {
  return all_or_none(*state_->memory, requests, out,
                     [this](const BufferRequest& request) { return alloc_buffer(request); });
}

}  // namespace vaspace::vulkan
