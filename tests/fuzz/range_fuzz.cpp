// Bytes as operations on a range allocator, each compared with its oracle after every one (R1 to R6, R8).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/range_driver.hpp"

namespace {

using namespace vaspace::test;

void require(const std::string& wrong) {
  if (wrong.empty()) return;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  std::abort();
}

template <class Subject>
void run(const std::vector<RangeOp>& ops, std::uint64_t units) {
  auto driver = Subject::make(units);
  for (const RangeOp& op : ops)
    require(driver.apply(op));
  require(driver.free_all());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 2048) return 0;
  // Small blocks meet more of their borders; the holes of large ones share bins.
  const std::uint64_t units = (1 + data[1] % 64) * (data[0] < 128 ? 1 : 40);
  const std::vector<RangeOp> ops = decode_range_ops(data + 2, size - 2);
  switch (data[0] % 4) {
    case 0:
      run<ObjectSubject>(ops, units);
      break;
    case 1:
      run<IndexedObjectSubject>(ops, units);
      break;
    case 2:
      run<SlabSubject>(ops, units);
      break;
    default:
      run<OddSlabSubject>(ops, units);
      break;
  }
  return 0;
}
