// Bytes become operations on every range allocator, each compared with its oracle after every one.
#include <cstdio>
#include <cstdlib>

#include "support/range_driver.hpp"

namespace {

template <class Subject>
void run(const std::vector<vaspace::test::RangeOp>& ops) {
  auto driver = Subject::make(37);
  for (const vaspace::test::RangeOp& op : ops) {
    const std::string wrong = driver.apply(op);
    if (wrong.empty()) continue;
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
  }
  if (const std::string wrong = driver.free_all(); !wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vaspace::test;
  if (size == 0 || size > 2048) return 0;
  const std::vector<RangeOp> ops = decode_range_ops(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      run<ObjectSubject>(ops);
      break;
    case 1:
      run<IndexedObjectSubject>(ops);
      break;
    case 2:
      run<SlabSubject>(ops);
      break;
    default:
      run<OddSlabSubject>(ops);
      break;
  }
  return 0;
}
