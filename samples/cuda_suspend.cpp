// A model steps aside: its weights go to host memory, its scratch memory is dropped, another program has the
// device meanwhile, and then everything is there again at the same addresses.
//
// Runs on any CUDA driver; without a GPU, on the simulated one:
//   VASPACE_CUDA_DRIVER=build/lib/simulated_cuda/libcuda.so.1 build/bin/sample_cuda_suspend
#include <cstdio>

#include "vaspace/frontends/cuda.hpp"

namespace {

using namespace vaspace;  // NOLINT: a sample

constexpr cuda::Tag kWeights = 1;
constexpr cuda::Tag kScratch = 2;

int fail(const char* what, Error error) {
  std::fprintf(stderr, "%s: %s (CUresult %d)\n", what, to_string(error.code), static_cast<int>(error.native));
  return 1;
}

void show(const char* when, const cuda::StreamAllocator& memory) {
  const cuda::StreamReport report = memory.report();
  std::printf("%-28s live %4llu MiB, held from the device %4llu MiB\n", when,
              static_cast<unsigned long long>(report.live.value >> 20U),
              static_cast<unsigned long long>(report.physical.value >> 20U));
}

}  // namespace

int main() {
  cuda::Refusal why;
  const auto gpu = cuda::Backend::create({.refusal = &why});
  if (!gpu) {
    std::fprintf(stderr, "%s\n", why.text);
    return 1;
  }
  auto memory = cuda::StreamAllocator::create(**gpu);
  if (!memory) return fail("create", memory.error());
  const auto stream = (*gpu)->make_stream();
  if (!stream) return fail("stream", stream.error());

  const auto weights = (*memory)->allocate({.size = 48_MiB, .tag = kWeights}, *stream);
  const auto scratch = (*memory)->allocate({.size = 80_MiB, .tag = kScratch}, *stream);
  if (!weights || !scratch) return fail("allocate", weights ? scratch.error() : weights.error());
  if (auto put = (*gpu)->fill(*weights, std::byte{42}, 48_MiB, *stream); !put)
    return fail("fill", put.error());
  show("at work:", **memory);

  if (auto done = (*memory)->suspend(cuda::Suspend::offload, kWeights); !done)
    return fail("suspend", done.error());
  if (auto done = (*memory)->suspend(cuda::Suspend::discard, kScratch); !done)
    return fail("suspend", done.error());
  show("suspended:", **memory);

  if (auto done = (*memory)->resume(kWeights); !done) return fail("resume", done.error());
  if (auto done = (*memory)->resume(kScratch); !done) return fail("resume", done.error());
  show("again at work:", **memory);

  std::byte last{};
  if (auto read = (*gpu)->copy_to_host(&last, *weights + 48_MiB - 1_B, 1_B); !read)
    return fail("read", read.error());
  std::printf("the last weight at 0x%llx is %d\n", static_cast<unsigned long long>(weights->value),
              std::to_integer<int>(last));
  (void)(*memory)->free(*weights, *stream);
  (void)(*memory)->free(*scratch, *stream);
  (void)(*memory)->release_stream(*stream);
  (void)(*gpu)->destroy_stream(*stream);
  return last == std::byte{42} ? 0 : 1;
}
