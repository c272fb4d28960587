// Containers of the standard library in memory that the device reaches: a std::pmr::vector in pinned memory
// is filled by the host, sent to device memory of the same kind of allocator, and comes back.
//
// Runs on any CUDA driver; without a GPU, on the simulated one:
//   VASPACE_CUDA_DRIVER=build/lib/simulated_cuda/libcuda.so.1 build/bin/sample_cuda_container
#include <cstdio>
#include <numeric>
#include <vector>

#include "vaspace/frontends/cuda_memory_resource.hpp"

namespace {

using namespace vaspace;  // NOLINT: a sample

int fail(const char* what, Error error) {
  std::fprintf(stderr, "%s: %s (CUresult %d)\n", what, to_string(error.code), static_cast<int>(error.native));
  return 1;
}

std::byte* bytes_of(std::pmr::vector<float>& values) {
  return reinterpret_cast<std::byte*>(values.data());
}

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
    std::pmr::vector<float> back(values.size(), &resource);

    const Bytes size{values.size() * sizeof(float)};
    const auto copy = (*device)->allocate(size, *stream);
    if (!copy) return fail("allocate", copy.error());
    if (auto sent = (*gpu)->copy_from_host(*copy, bytes_of(values), size); !sent)
      return fail("send", sent.error());
    if (auto got = (*gpu)->copy_to_host(bytes_of(back), *copy, size); !got) return fail("fetch", got.error());
    same = back == values;
    std::printf("%zu floats by way of 0x%llx: their sum is %.0f\n", back.size(),
                static_cast<unsigned long long>(copy->value), std::accumulate(back.begin(), back.end(), 0.0));
    if (auto freed = (*device)->free(*copy, *stream); !freed) return fail("free", freed.error());
  }
  (void)(*device)->release_stream(*stream);
  (void)(*pinned)->release_stream(*stream);
  (void)(*gpu)->destroy_stream(*stream);
  return same ? 0 : 1;
}
