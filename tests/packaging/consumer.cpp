// Ten lines of an application.
#include <cstring>

#include "vaspace/arena/arena_allocator.hpp"
#include "vaspace/backends/cpu.hpp"

int main() {
  using namespace vaspace::literals;
  auto backend = vaspace::cpu::Backend::create({.physical_size = 64_MiB});
  if (!backend) return 1;
  auto arenas = vaspace::ArenaAllocator::create(**backend);
  if (!arenas) return 1;
  const auto mesh = arenas->allocate({.size = 3_MiB, .name = "mesh/rock"});
  if (!mesh) return 1;
  std::memset(reinterpret_cast<void*>(mesh->address.value), 1, mesh->size.value);
  arenas->free(*mesh);
  return arenas->report().total.live_allocations == 0 ? 0 : 1;
}
