// A buffer that grows from 64 KiB to 64 MiB and back, and never moves: pointers into it stay good.
#include "vaspace/va/growable_buffer.hpp"

#include <cstdint>
#include <cstdio>

#include "vaspace/backends/cpu.hpp"

using namespace vaspace;
using namespace vaspace::literals;

int main() {
  auto backend = cpu::Backend::create({.physical_size = 256_MiB});
  if (!backend) return 1;
  auto buffer = GrowableBuffer::create(**backend, {.max_size = 1_GiB});
  if (!buffer) return 1;
  const Address address = (*buffer)->address();
  auto* numbers = reinterpret_cast<std::uint64_t*>(static_cast<std::uintptr_t>(address.value));
  std::uint64_t count = 0;

  std::printf("%12s %12s %14s  %s\n", "size", "physical", "numbers", "address");
  const auto resize = [&](Bytes size) {
    if (!(*buffer)->resize(size)) return false;
    // What it had is still there, at the same place; what is new is written on.
    const std::uint64_t room = size.value / sizeof(std::uint64_t);
    if (count > room) count = room;
    for (std::uint64_t i = 0; i < count; ++i)
      if (numbers[i] != i * i) return false;
    for (; count < room; ++count)
      numbers[count] = count * count;
    std::printf("%8llu KiB %8llu KiB %14llu  %llx\n", (unsigned long long)(size.value >> 10U),
                (unsigned long long)((*backend)->measured_physical()->value >> 10U),
                (unsigned long long)count, (unsigned long long)(*buffer)->address().value);
    return (*buffer)->address() == address;
  };
  for (Bytes size = 64_KiB; size <= 64_MiB; size = size * 4)
    if (!resize(size)) return 1;
  for (const Bytes size : {10_MiB, 100_KiB, 3_MiB})
    if (!resize(size)) return 1;
  return 0;
}
