// What the tests on a real device run there.
extern "C" __global__ void add_to_all(unsigned* values, unsigned count, unsigned more) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) values[i] += i + more;
}
