// An array in device memory that grows in place: its address never changes, its contents are never copied.
//
//   reservation  |==== 1 ====|==== 2 ====|==== 3 ====|......................|
//
// Runs on any CUDA driver; without a GPU, on the simulated one:
//   VASPACE_CUDA_DRIVER=build/lib/simulated_cuda/libcuda.so.1 build/bin/sample_cuda_growable
#include "vaspace/frontends/cuda_growable.hpp"

#include <cstdio>
#include <cstring>

namespace {

using namespace vaspace;  // NOLINT: a sample

int fail(const char* what, Error error) {
  std::fprintf(stderr, "%s: %s (CUresult %d)\n", what, to_string(error.code), static_cast<int>(error.native));
  return 1;
}

// Elements of T in device memory, appended from the host.
template <class T>
class DeviceArray {
 public:
  static Result<DeviceArray> create(cuda::Backend& gpu, std::uint64_t most) {
    auto memory = cuda::GrowableBuffer::create(gpu, {.reservation = Bytes{most * sizeof(T)}});
    if (!memory) return vaspace::fail(memory.error());
    return DeviceArray(gpu, std::move(*memory));
  }
  Result<void> append(const T* elements, std::uint64_t count) {
    const Bytes end{(size_ + count) * sizeof(T)};
    if (auto grown = memory_.grow(end); !grown) return vaspace::fail(grown.error());
    const Address to = memory_.address() + Bytes{size_ * sizeof(T)};
    const auto copied =
        gpu_->copy_from_host(to, reinterpret_cast<const std::byte*>(elements), Bytes{count * sizeof(T)});
    if (copied) size_ += count;
    return copied;
  }
  Result<T> at(std::uint64_t index) {
    std::byte bytes[sizeof(T)];
    const Address from = memory_.address() + Bytes{index * sizeof(T)};
    if (auto copied = gpu_->copy_to_host(bytes, from, Bytes{sizeof(T)}); !copied)
      return vaspace::fail(copied.error());
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
  }
  [[nodiscard]] Address address() const { return memory_.address(); }
  [[nodiscard]] Bytes bound() const { return memory_.size(); }
  [[nodiscard]] Bytes reserved() const { return memory_.reserved(); }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  DeviceArray(cuda::Backend& gpu, cuda::GrowableBuffer memory) : gpu_(&gpu), memory_(std::move(memory)) {}

  cuda::Backend* gpu_;
  cuda::GrowableBuffer memory_;
  std::uint64_t size_ = 0;
};

}  // namespace

int main() {
  cuda::Refusal why;
  const auto gpu = cuda::Backend::create({.refusal = &why});
  if (!gpu) {
    std::fprintf(stderr, "%s\n", why.text);
    return 1;
  }
  constexpr std::uint64_t kMost = 256U << 20U;  // elements: addresses cost nothing
  auto array = DeviceArray<std::uint32_t>::create(**gpu, kMost);
  if (!array) return fail("create", array.error());
  const Address before = array->address();

  std::uint32_t block[1 << 16];
  for (std::uint32_t round = 0; round < 40; ++round) {
    for (std::uint32_t i = 0; i < std::size(block); ++i)
      block[i] = round * static_cast<std::uint32_t>(std::size(block)) + i;
    if (auto appended = array->append(block, std::size(block)); !appended)
      return fail("append", appended.error());
    if (round % 10 == 9)
      std::printf("%8llu elements, %4llu MiB bound of %llu MiB reserved, at 0x%llx\n",
                  static_cast<unsigned long long>(array->size()),
                  static_cast<unsigned long long>(array->bound().value >> 20U),
                  static_cast<unsigned long long>(array->reserved().value >> 20U),
                  static_cast<unsigned long long>(array->address().value));
  }
  for (std::uint64_t index = 0; index < array->size(); index += 99'991) {
    const auto value = array->at(index);
    if (!value) return fail("read", value.error());
    if (*value != index)
      return std::fprintf(stderr, "element %llu is lost\n", static_cast<unsigned long long>(index)), 1;
  }
  std::printf("the address %s\n", array->address() == before ? "never changed" : "changed");
  return array->address() == before ? 0 : 1;
}
