// The arena allocator on the CPU backend: real memory, no GPU.
#include <cstdio>
#include <cstring>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/backends/cpu.hpp"

using namespace vaspace::literals;

int main() {
  auto backend = vaspace::cpu::Backend::create({.physical_size = 256_MiB});
  if (!backend) return 1;
  auto arenas = vaspace::ArenaAllocator::create(**backend, {});
  if (!arenas) return 1;
  const auto rock = arenas->allocate({.size = 3_MiB, .name = "mesh/rock"});
  if (!rock) return 1;
  std::memset(reinterpret_cast<void*>(rock->address.value), 0x5a, rock->size.value);
  std::printf("mesh/rock: %llu bytes at %llx, %llu committed\n", (unsigned long long)rock->size.value,
              (unsigned long long)rock->address.value, (unsigned long long)arenas->committed().value);
  arenas->free(*rock);
  return 0;
}
