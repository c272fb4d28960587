// The backend contract on every device that the simulated driver plays.
#include "vaspace/backends/cuda.hpp"

#include "cuda/simulated_device.hpp"
#include "support/backend_contract.hpp"

namespace vaspace::test {
namespace {

struct OnSimulator {
  HostObject<cuda::Backend> backend;

  ~OnSimulator() {
    backend.reset();
    EXPECT_EQ(cuda_reports(), "");
    EXPECT_EQ(DRIVER(vasim_cuda_report_leaks)(), 0U) << cuda_reports();
  }
};

BackendCase on_simulator(std::string name, std::string profile, bool exportable = false) {
  const auto make = [profile, exportable](const HostAllocator& host) -> Result<BackendPtr> {
    restart_cuda(profile);
    const auto holder = std::make_shared<OnSimulator>();
    cuda::BackendConfig config = cuda_config();
    config.exportable = exportable;
    config.host = host;
    auto made = cuda::Backend::create(config);
    if (!made) return fail(made.error());
    holder->backend = std::move(*made);
    return BackendPtr(holder, holder->backend.get());
  };
  return {.name = std::move(name), .make = make};
}

INSTANTIATE_TEST_SUITE_P(
    Cuda, BackendContract,
    testing::Values(on_simulator("Small", "small_memory"), on_simulator("Exportable", "small_memory", true),
                    on_simulator("Pages64KiB", VASPACE_CUDA_PROFILES "/small_64k.json"),
                    on_simulator("TwoPageSizes", VASPACE_CUDA_PROFILES "/small_two_sizes.json"),
                    on_simulator("HintElsewhere", VASPACE_CUDA_PROFILES "/small_hint_elsewhere.json")),
    name_of);

}  // namespace
}  // namespace vaspace::test
