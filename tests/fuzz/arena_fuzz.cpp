// Bytes as operations on the VA allocators over the address-only backend with pages, with a driver and a host
// allocator that refuse where the bytes say so; everything compared after each (R1 to R8).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/arena_driver.hpp"

namespace {

using namespace vaspace;
using namespace vaspace::test;

constexpr SizeClass kTiny[] = {{256_B, 64_KiB, Strategy::slab},
                               {1000_B, 128_KiB, Strategy::slab},
                               {40_KiB, 192_KiB},
                               {kMaxBytes, 256_KiB}};

// What the first bytes say about the device, the configuration and what fails.
struct Setting {
  std::size_t subject = 0;
  bool standard_table = false, commits = false, index = false, forever = false;
  Bytes physical{};
  Bytes earn{};
  Call call{};
  std::int64_t driver_fails_at = 0;
  std::int64_t host_fails_at = 0;
};
constexpr std::size_t kSettingBytes = 4;

Setting decode_setting(const std::uint8_t* data) {
  Setting s;
  s.subject = data[1] >> 6U;
  s.standard_table = (data[0] & 1U) != 0;
  s.commits = (data[0] & 2U) != 0;
  s.index = (data[0] & 4U) != 0;
  s.forever = (data[0] & 8U) != 0;
  s.physical = 64_KiB * (1U + data[1] % 64U);
  constexpr Call kCalls[] = {Call::reserve, Call::release,          Call::create_physical,
                             Call::bind,    Call::destroy_physical, Call::wait};
  s.call = kCalls[(data[0] >> 4U) % std::size(kCalls)];
  s.driver_fails_at = data[2];
  s.host_fails_at = data[3] % 128;
  if (data[3] >= 128) s.earn = 96_KiB;
  return s;
}

// Four bytes an operation. Sizes come out small, with some at the 64-bit edge.
std::vector<VaOp> decode_ops(const std::uint8_t* data, std::size_t size) {
  std::vector<VaOp> ops;
  for (; size >= 4; data += 4, size -= 4) {
    VaOp op{VaOpKind(data[0] % kVaOpKinds), std::uint64_t{data[1]} | std::uint64_t{data[2]} << 8U, data[3]};
    if (op.kind == VaOpKind::allocate) {
      op.a = data[0] >= 250 ? ~std::uint64_t{0} - op.a : op.a << (data[0] / 32U % 5U);
      op.b %= data[0] >= 240 ? 64 : 19;
    }
    ops.push_back(op);
  }
  return ops;
}

void require(const std::string& wrong) {
  if (wrong.empty()) return;
  std::fprintf(stderr, "%s\n", wrong.c_str());
  std::abort();
}

void run(const Subject& subject, const Setting& setting, const std::vector<VaOp>& ops) {
  const Device device = device_named(setting.commits ? "AddressCommits" : "AddressPages");
  ArenaConfig config{.earn = setting.earn, .retain = 128_KiB, .index_addresses = setting.index};
  if (!setting.standard_table) config.classes = kTiny;
  Stage stage(subject, device.of_size(setting.physical), {.arena = config, .exact_books = !setting.forever});
  stage.faulty().fail_at(setting.call, setting.driver_fails_at, kInjected, setting.forever);
  stage.host().fail_at(setting.host_fails_at);
  const bool opened = stage.open().has_value();
  if (opened) {
    VaDriver driver(stage);
    driver.expect_host_failures(setting.host_fails_at != 0);
    for (const VaOp& op : ops)
      require(driver.apply(op));
    stage.faulty().stop_failing();
    require(driver.free_all([](std::size_t n) { return n / 2; }));
    require(driver.apply({VaOpKind::flush}));
    stage.close();
  }
  // A reservation that a device never takes back from who was not even created stays with it.
  require(stage.left(!opened && setting.forever && setting.call == Call::release));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kSettingBytes || size > 1024) return 0;
  const Setting setting = decode_setting(data);
  const auto ops = decode_ops(data + kSettingBytes, size - kSettingBytes);
  run(kSubjects[setting.subject], setting, ops);
  return 0;
}
