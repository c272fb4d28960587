// The contract of the va layer on the CPU backend, as it is and as it plays other drivers.
#include "vaspace/backends/cpu.hpp"

#include "va/va_contract.hpp"

namespace vaspace::test {
namespace {

struct CpuDevice final : VaDevice {
  HostObject<cpu::Backend> cpu;

  [[nodiscard]] Backend& backend() override { return *cpu; }
  static volatile std::uint32_t* words(Address address) {
    return reinterpret_cast<volatile std::uint32_t*>(static_cast<std::uintptr_t>(address.value));
  }
  void fill(Address address, Bytes size, std::uint32_t word) override {
    for (std::uint64_t i = 0; i < size.value / 4; ++i)
      words(address)[i] = word;
  }
  [[nodiscard]] std::uint32_t read(Address address) override { return *words(address); }
};

VaCase on_cpu(std::string name, bool parts, bool offsets, bool aliasing) {
  const auto make = [=](const HostAllocator& host) -> std::unique_ptr<VaDevice> {
    auto device = std::make_unique<CpuDevice>();
    cpu::BackendConfig config;
    config.physical_size = 64_MiB;
    config.partial_unbind = parts;
    config.physical_offset = offsets;
    config.aliasing = aliasing;
    config.host = host;
    auto made = cpu::Backend::create(config);
    if (!made) return nullptr;
    device->cpu = std::move(*made);
    return device;
  };
  return {std::move(name), make};
}

INSTANTIATE_TEST_SUITE_P(Cpu, VaContract,
                         testing::Values(on_cpu("AsItIs", true, true, true),
                                         on_cpu("WithoutAliasing", true, true, false),
                                         on_cpu("WholeUnbinds", false, true, false),
                                         on_cpu("NoOffsets", false, false, true)),
                         [](const auto& one) { return one.param.name; });
INSTANTIATE_TEST_SUITE_P(Cpu, VaOffsetsContract,
                         testing::Values(on_cpu("AsItIs", true, true, true),
                                         on_cpu("WithoutAliasing", true, true, false),
                                         on_cpu("WholeUnbinds", false, true, false)),
                         [](const auto& one) { return one.param.name; });
INSTANTIATE_TEST_SUITE_P(Cpu, VaWholeObjectsContract,
                         testing::Values(on_cpu("NoOffsets", false, false, true)),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace vaspace::test
