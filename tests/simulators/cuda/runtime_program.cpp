// A program of the CUDA runtime, linked with its static library, that knows nothing of simulators: starts,
// allocates, copies, waits, frees and ends. Exit code 0, or the line that failed.
#include <cstdio>
#include <cuda_runtime_api.h>
#include <vector>

namespace {

bool good(cudaError_t result, int line) {
  if (result == cudaSuccess) return true;
  std::fprintf(stderr, "line %d: %s: %s\n", line, cudaGetErrorName(result), cudaGetErrorString(result));
  return false;
}

}  // namespace

#define CHECK(call) \
  if (!good(call, __LINE__)) return __LINE__

int main() {
  int devices = 0;
  CHECK(cudaGetDeviceCount(&devices));
  if (devices < 1) return __LINE__;
  CHECK(cudaSetDevice(0));

  constexpr std::size_t kCount = 1 << 20;
  std::vector<int> out(kCount), in(kCount);
  for (std::size_t i = 0; i != kCount; ++i)
    out[i] = static_cast<int>(i * 2654435761U);

  int* device = nullptr;
  CHECK(cudaMalloc(reinterpret_cast<void**>(&device), kCount * sizeof(int)));
  CHECK(cudaMemcpy(device, out.data(), kCount * sizeof(int), cudaMemcpyHostToDevice));
  CHECK(cudaMemcpy(in.data(), device, kCount * sizeof(int), cudaMemcpyDeviceToHost));
  if (in != out) return __LINE__;

  cudaStream_t stream = nullptr;
  cudaEvent_t begin = nullptr, end = nullptr;
  CHECK(cudaStreamCreate(&stream));
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  CHECK(cudaEventRecord(begin, stream));
  CHECK(cudaMemsetAsync(device, 0x11, kCount * sizeof(int), stream));
  int* pinned = nullptr;
  CHECK(cudaMallocHost(reinterpret_cast<void**>(&pinned), kCount * sizeof(int)));
  CHECK(cudaMemcpyAsync(pinned, device, kCount * sizeof(int), cudaMemcpyDeviceToHost, stream));
  CHECK(cudaEventRecord(end, stream));
  CHECK(cudaStreamSynchronize(stream));
  float milliseconds = 0;
  CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
  for (std::size_t i = 0; i != kCount; ++i)
    if (pinned[i] != 0x11111111) return __LINE__;

  void* ordered = nullptr;
  CHECK(cudaMallocAsync(&ordered, 1 << 16, stream));
  CHECK(cudaMemsetAsync(ordered, 0, 1 << 16, stream));
  CHECK(cudaFreeAsync(ordered, stream));
  CHECK(cudaStreamSynchronize(stream));

  CHECK(cudaFreeHost(pinned));
  CHECK(cudaEventDestroy(begin));
  CHECK(cudaEventDestroy(end));
  CHECK(cudaStreamDestroy(stream));
  CHECK(cudaFree(device));
  CHECK(cudaDeviceReset());
  std::printf("runtime program: %d device(s)\n", devices);
  return 0;
}
