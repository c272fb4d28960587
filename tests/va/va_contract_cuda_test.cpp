// The contract of the va layer on CUDA's virtual memory, on devices that the simulated driver plays. It
// reports what breaks a rule (C1 to C18), and nothing may be.
#include "cuda/simulated_device.hpp"
#include "va/va_contract.hpp"

namespace vaspace::test {
namespace {

struct CudaDevice final : VaDevice {
  HostObject<cuda::Backend> cuda;

  ~CudaDevice() override {
    cuda.reset();
    EXPECT_EQ(cuda_reports(), "");
    EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U) << cuda_reports();
  }
  [[nodiscard]] Backend& backend() override { return *cuda; }
  void fill(Address address, Bytes size, std::uint32_t word) override {
    const std::vector<std::uint32_t> words(size.value / 4, word);
    EXPECT_TRUE(cuda->copy_from_host(address, reinterpret_cast<const std::byte*>(words.data()), size));
    EXPECT_TRUE(cuda->wait_idle());
  }
  [[nodiscard]] std::uint32_t read(Address address) override {
    std::uint32_t word = 0;
    EXPECT_TRUE(cuda->wait_idle());
    EXPECT_TRUE(cuda->copy_to_host(reinterpret_cast<std::byte*>(&word), address, 4_B));
    return word;
  }
};

VaCase on_cuda(std::string name, std::string profile, std::string settings = "") {
  const auto make = [=](const HostAllocator& host) -> std::unique_ptr<VaDevice> {
    restart_cuda(profile, settings);
    auto device = std::make_unique<CudaDevice>();
    cuda::BackendConfig config = cuda_config();
    config.host = host;
    auto made = cuda::Backend::create(config);
    if (!made) return nullptr;
    device->cuda = std::move(*made);
    return device;
  };
  return {std::move(name), make};
}

INSTANTIATE_TEST_SUITE_P(
    Cuda, VaContract,
    testing::Values(on_cuda("OnePageSize", VASPACE_CUDA_PROFILES "/small_64k.json"),
                    on_cuda("TwoPageSizes", VASPACE_CUDA_PROFILES "/small_two_sizes.json"),
                    on_cuda("Late", VASPACE_CUDA_PROFILES "/small_64k.json", "delay_us=0..20")),
    [](const auto& one) { return one.param.name; });
INSTANTIATE_TEST_SUITE_P(
    Cuda, VaWholeObjectsContract,
    testing::Values(on_cuda("OnePageSize", VASPACE_CUDA_PROFILES "/small_64k.json"),
                    on_cuda("TwoPageSizes", VASPACE_CUDA_PROFILES "/small_two_sizes.json"),
                    on_cuda("Late", VASPACE_CUDA_PROFILES "/small_64k.json", "delay_us=0..20")),
    [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace vaspace::test
