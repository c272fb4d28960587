// Containers over memory that a CUDA device reaches. A std::pmr::vector in pinned memory is filled by the
// host, and grows by itself; a DeviceVector, a page long, owns memory of the device alone, is appended to,
// grows by a copy on the device, and ends with its scope. What was sent comes back.
//
// Runs on any CUDA driver; without a GPU, on the simulated one:
//   VASPACE_CUDA_DRIVER=build/lib/simulated_cuda/libcuda.so.1 build/bin/sample_cuda_container
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <span>
#include <type_traits>
#include <vector>

#include "vaspace/frontends/cuda_memory_resource.hpp"

namespace {

using namespace vaspace;  // NOLINT: a sample

int fail(const char* what, Error error) {
  std::fprintf(stderr, "%s: %s (CUresult %d)\n", what, to_string(error.code), static_cast<int>(error.native));
  return 1;
}

// Elements in the device's memory, on one stream. Errors of every call are the allocator's and the driver's,
// and leave it as it was.
template <class T>
class DeviceVector {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  DeviceVector(cuda::Backend& gpu, cuda::StreamAllocator& memory, cuda::Stream stream) noexcept
      : gpu_(gpu), memory_(memory), stream_(stream) {}
  DeviceVector(const DeviceVector&) = delete;
  DeviceVector& operator=(const DeviceVector&) = delete;
  // Freed on its stream: what is still running there may use it to its end.
  ~DeviceVector() {
    if (capacity_ != 0) (void)memory_.free(data_, stream_);
  }

  [[nodiscard]] Address data() const noexcept { return data_; }  // what a kernel is given
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  [[nodiscard]] Result<void> append(std::span<const T> values) noexcept {
    if (auto room = reserve(size_ + values.size()); !room) return room;
    const auto* from = reinterpret_cast<const std::byte*>(values.data());
    if (auto sent = gpu_.copy_from_host(data_ + bytes(size_), from, bytes(values.size())); !sent) return sent;
    size_ += values.size();
    return {};
  }
  [[nodiscard]] Result<void> read(std::span<T> into) const noexcept {
    return gpu_.copy_to_host(reinterpret_cast<std::byte*>(into.data()), data_, bytes(into.size()));
  }
  [[nodiscard]] Result<void> reserve(std::size_t count) noexcept {
    if (count <= capacity_) return {};
    const std::size_t more = std::max(count, capacity_ * 2);
    const auto larger = memory_.allocate(bytes(more), stream_);
    if (!larger) return fail_with(larger.error());
    if (auto moved = move_to(*larger); !moved) {
      (void)memory_.free(*larger, stream_);
      return moved;
    }
    if (capacity_ != 0) (void)memory_.free(data_, stream_);
    data_ = *larger;
    capacity_ = more;
    return {};
  }

 private:
  // The device's copies run on a stream of their own: what this one does with the elements comes first.
  [[nodiscard]] Result<void> move_to(Address larger) noexcept {
    if (size_ == 0) return {};
    if (auto idle = gpu_.wait_for(stream_); !idle) return idle;
    const CopyOp all{.source = data_, .destination = larger, .size = bytes(size_)};
    const auto copied = gpu_.copy({&all, 1}, {});
    if (!copied) return fail_with(copied.error());
    return gpu_.wait(*copied, kForever);
  }
  static constexpr std::uint64_t kForever = ~std::uint64_t{0};  // ns

  static Bytes bytes(std::size_t count) noexcept { return Bytes{count * sizeof(T)}; }
  static tl::unexpected<Error> fail_with(Error error) noexcept { return tl::unexpected<Error>(error); }

  cuda::Backend& gpu_;
  cuda::StreamAllocator& memory_;
  cuda::Stream stream_;
  Address data_{};
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace

int main() {
  cuda::Refusal why;
  const auto gpu = cuda::Backend::create({.refusal = &why});
  if (!gpu) {
    std::fprintf(stderr, "%s\n", why.text);
    return 1;
  }
  auto device = cuda::StreamAllocator::create(**gpu);
  auto pinned = cuda::StreamAllocator::create(**gpu, {.kind = cuda::MemoryKind::pinned});
  const auto stream = (*gpu)->make_stream();
  if (!device || !pinned || !stream) return fail("create", !device ? device.error() : pinned.error());
  bool same = false;
  {
    cuda::PinnedResource resource(**pinned, *stream);
    std::pmr::vector<float> values(&resource);
    for (int i = 0; i < 100'000; ++i)
      values.push_back(static_cast<float>(i));  // grows by itself, in pinned memory
    DeviceVector<float> there(**gpu, **device, *stream);
    const std::span<const float> all(values);
    for (std::size_t at = 0; at < all.size(); at += 10'000)
      if (auto sent = there.append(all.subspan(at, 10'000)); !sent) return fail("append", sent.error());
    std::pmr::vector<float> back(there.size(), &resource);
    if (auto got = there.read(back); !got) return fail("read", got.error());
    same = back == values;
    std::printf("%zu floats by way of 0x%llx, with room for %zu: their sum is %.0f\n", back.size(),
                static_cast<unsigned long long>(there.data().value), there.capacity(),
                std::accumulate(back.begin(), back.end(), 0.0));
  }
  (void)(*device)->release_stream(*stream);
  (void)(*pinned)->release_stream(*stream);
  (void)(*gpu)->destroy_stream(*stream);
  return same ? 0 : 1;
}
