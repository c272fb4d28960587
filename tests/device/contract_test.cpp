// Every backend that needs no driver, and every limit that one of them can play.
#include "vaspace/backends/cpu.hpp"
#include "vaspace/device/address_backend.hpp"
#include "vaspace/device/counting_backend.hpp"

#include "support/backend_contract.hpp"

namespace vaspace::test {
namespace {

constexpr std::array<Bytes, 2> kBothPageSizes{64_KiB, 2_MiB};
constexpr std::array<Bytes, 1> kLargePages{2_MiB};
constexpr std::array<Bytes, 1> kSmallPages{4_KiB};

BackendCase on_addresses(std::string name, AddressBackendConfig config) {
  config.physical_size = 64_MiB;
  return {std::move(name), [config](const HostAllocator& host) mutable {
            config.host = host;
            return shared_backend(AddressBackend::create(config));
          }};
}

BackendCase on_cpu(std::string name, cpu::BackendConfig config) {
  config.physical_size = 64_MiB;
  return {std::move(name), [config](const HostAllocator& host) mutable {
            config.host = host;
            return shared_backend(cpu::Backend::create(config));
          }};
}

// A backend behind one that counts.
struct Counted {
  explicit Counted(HostObject<cpu::Backend> backend) : counted(std::move(backend)), counting(*counted) {}
  HostObject<cpu::Backend> counted;
  CountingBackend counting;
};

Result<BackendPtr> counted_cpu(const HostAllocator& host) {
  auto made = cpu::Backend::create({.physical_size = 64_MiB, .host = host});
  if (!made) return fail(made.error());
  const auto both = std::make_shared<Counted>(std::move(*made));
  return BackendPtr(both, &both->counting);
}

INSTANTIATE_TEST_SUITE_P(Address, BackendContract,
                         testing::Values(on_addresses("Bare", {}),
                                         on_addresses("WithPages", {.page_sizes = kBothPageSizes}),
                                         on_addresses("WithLargePages", {.page_sizes = kLargePages}),
                                         on_addresses("Committing", {.reserve_commits = true}),
                                         on_addresses("Limited", {.reserve_commits = true,
                                                                  .max_reservation_size = 4_MiB,
                                                                  .max_reservations = 100})),
                         name_of);

INSTANTIATE_TEST_SUITE_P(
    Cpu, BackendContract,
    testing::Values(on_cpu("Plain", {}), on_cpu("WithLargePages", {.page_sizes = kLargePages}),
                    on_cpu("WithSmallPages", {.page_sizes = kSmallPages}),
                    on_cpu("LikeCuda", {.partial_unbind = false, .physical_offset = false}),
                    on_cpu("WithoutAliasing", {.aliasing = false}),
                    on_cpu("Committing", {.reserve_commits = true}),
                    on_cpu("Limited", {.max_reservation_size = 4_MiB, .max_reservations = 100}),
                    on_cpu("WithLatency", {.bind_latency_ns = 20'000}), BackendCase{"Counted", &counted_cpu}),
    name_of);

}  // namespace
}  // namespace vaspace::test
