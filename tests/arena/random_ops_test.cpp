// Random operations on every allocator against the oracle, shrunk by rapidcheck when they fail.
#include <gtest/gtest.h>
#include <vector>

#include "support/arena_driver.hpp"
#include "support/property.hpp"

namespace vaspace::test {
namespace {

rc::Gen<std::uint64_t> size_gen() {
  // Each power of two as likely as the others, the edges of classes and of 64 bits among them.
  const auto scaled = rc::gen::mapcat(rc::gen::inRange(0U, 24U), [](unsigned bits) {
    return rc::gen::inRange(std::uint64_t{1} << bits, (std::uint64_t{2} << bits) + 1);
  });
  const auto edges = rc::gen::element<std::uint64_t>(0, 512, 513, 1024, 2048, 2049, 4096, 65536, 65537,
                                                     1U << 21U, 1U << 25U, ~std::uint64_t{0}, 1ULL << 63U);
  return rc::gen::weightedOneOf<std::uint64_t>({{6, scaled}, {1, edges}});
}

rc::Gen<VaOp> op_gen() {
  const auto kind = rc::gen::weightedElement<VaOpKind>({{10, VaOpKind::allocate},
                                                        {2, VaOpKind::allocate_named},
                                                        {8, VaOpKind::free},
                                                        {1, VaOpKind::free_stale},
                                                        {1, VaOpKind::free_unknown},
                                                        {1, VaOpKind::free_interior},
                                                        {1, VaOpKind::find},
                                                        {1, VaOpKind::collect},
                                                        {1, VaOpKind::flush}});
  const auto bits = rc::gen::weightedOneOf<std::uint64_t>(
      {{4, rc::gen::inRange<std::uint64_t>(0, 9)}, {1, rc::gen::inRange<std::uint64_t>(0, 64)}});
  return rc::gen::build<VaOp>(rc::gen::set(&VaOp::kind, kind), rc::gen::set(&VaOp::a, size_gen()),
                              rc::gen::set(&VaOp::b, bits));
}

constexpr SizeClass kTiny[] = {{256_B, 64_KiB, Strategy::slab}, {40_KiB, 128_KiB}, {kMaxBytes, 192_KiB}};

void run(const std::vector<VaOp>& ops, const Device& device, const ArenaConfig& config) {
  for (const Subject& subject : kSubjects) {
    Stage stage(subject, device, {.arena = config});
    require(stage.open().has_value(), "created");
    {
      VaDriver driver(stage);
      for (const VaOp& op : ops) {
        const std::string wrong = driver.apply(op);
        require(wrong.empty(), wrong);
      }
      const std::string wrong = driver.free_all([](std::size_t n) { return n / 2; });
      require(wrong.empty(), wrong);
    }
    stage.close();
    require(stage.left().empty(), stage.left());
  }
}

RC_GTEST_PROP(VaProperty, R1_R2_R3_R5_R6_R7_R8_PagesOnAddresses, ()) {
  run(*rc::gen::container<std::vector<VaOp>>(op_gen()), device_named("AddressPages"), {});
}

RC_GTEST_PROP(VaProperty, R1_R2_R3_R5_R6_R7_R8_WhereReservingCommits, ()) {
  run(*rc::gen::container<std::vector<VaOp>>(op_gen()), device_named("AddressCommits").of_size(64_MiB), {});
}

// A table of a slab and two object classes, in reservations of two or three pages, on a device of 24 pages:
// windows open and close, memory runs out, pages are retained.
RC_GTEST_PROP(VaProperty, R1_R2_R3_R5_R6_R7_R8_ATinyTableOnATinyDevice, ()) {
  auto ops = *rc::gen::container<std::vector<VaOp>>(op_gen());
  for (VaOp& op : ops) {
    if (op.kind == VaOpKind::allocate && op.a < 1ULL << 40U) op.a = 1 + op.a % (250_KiB).value;
  }
  run(ops, device_named("AddressPages").of_size(24 * 64_KiB),
      {.classes = kTiny, .retain = 128_KiB, .index_addresses = true});
}

}  // namespace
}  // namespace vaspace::test
