// Which memory types an intent should get on every device there is a file of (device_files.hpp), best first:
// written out from what each device reports by these rules, before choose_memory_types was asked.
//
// device: device-local, with the window that the host sees left to those who need it, and a small one before
// memory of the host's; if mapped, then wherever all device memory is visible; upload: coherent memory of the
// host's, uncached; readback: cached; dynamic: device memory that the host sees; transient: lazily allocated.
// Among equals the driver's own order.
#pragma once

#include <string_view>

namespace vaspace::test {

struct ExpectedRankings {
  std::string_view device_name;  // of the file
  std::string_view device;
  std::string_view device_mapped_if_cheap;
  std::string_view device_mapped;
  std::string_view upload;
  std::string_view readback;
  std::string_view dynamic;
  std::string_view transient;
};

inline constexpr ExpectedRankings kSimulatedDevices[] = {
    {"absurd_budget", "0 2 1 3", "2 0 1 3", "2 1 3", "1 3 2", "3 1 2", "2 1 3", "0 2 1 3"},
    {"count_64", "0 1", "0 1", "0 1", "0 1", "1 0", "0 1", "0 1"},
    {"discrete_bar256", "1 4 0 2 3", "1 4 2 3 0", "4 2 3", "2 3 4", "3 2 4", "4 2 3", "1 4 0 2 3"},
    {"discrete_rebar", "0 2 1 3", "2 0 1 3", "2 1 3", "1 3 2", "3 1 2", "2 1 3", "0 2 1 3"},
    // Its cached type is not coherent.
    {"granularity_64k", "1 4 0 2 3", "1 4 2 3 0", "4 2 3", "2 3 4", "3 2 4", "4 2 3", "1 4 0 2 3"},
    {"integrated", "0 1", "0 1", "0 1", "0 1", "1 0", "0 1", "0 1"},
    {"mobile_tiler", "0 1 2", "1 2 0", "1 2", "1 2", "2 1", "1 2", "3 0 1 2"},
    {"no_sparse", "1 4 0 2 3", "1 4 2 3 0", "4 2 3", "2 3 4", "3 2 4", "4 2 3", "1 4 0 2 3"},
    // No device memory that the host sees.
    {"tiny", "0 1 2", "0 1 2", "1 2", "1 2", "2 1", "1 2", "0 1 2"},
};

inline constexpr ExpectedRankings kReportedDevices[] = {
    // A carve-out of two heaps of 256 MiB, of which the host sees one: that window is no scarcer than the
    // other. Types 8 to 15 repeat 0 to 7, of which 4 to 7 are device-coherent.
    {"amd_integrated_512m", "0 8 2 10 1 9 3 11", "2 10 0 8 1 9 3 11", "2 10 1 9 3 11", "1 9 3 11 2 10",
     "3 11 1 9 2 10", "2 10 1 9 3 11", "0 8 2 10 1 9 3 11"},
    {"amd_rx_6600", "0 2 1 3", "0 2 1 3", "2 1 3", "1 3 2", "3 1 2", "2 1 3", "0 2 1 3"},
    {"amd_rx_6650_xt", "0 8 2 10 1 9 3 11", "0 8 2 10 1 9 3 11", "2 10 1 9 3 11", "1 9 3 11 2 10",
     "3 11 1 9 2 10", "2 10 1 9 3 11", "0 8 2 10 1 9 3 11"},
    // One memory for all. 0 is the device's alone and may be compressed; 2 has to be flushed.
    {"apple_m1", "0 1 2", "1 2 0", "1 2", "1 2", "1 2", "1 2", "3 0 1 2"},
    // A discrete GPU whose cached memory is the device's, kept twice and flushed; the host's is not cached.
    {"apple_mac_pro_d300", "0 2 1", "2 0 1", "2 1", "1 2", "2 1", "2 1", "0 2 1"},
    {"arm_mali_rk3588", "0 1", "0 1", "0 1", "0 1", "1 0", "0 1", "2 0 1"},
    {"broadcom_v3d", "0", "0", "0", "0", "0", "0", "0"},
    {"intel_adl_gt2", "0 1 2", "1 2 0", "1 2", "1 2", "2 1", "1 2", "0 1 2"},
    // Cached memory is not coherent, and each type is there twice.
    {"intel_uhd_600", "0 2 1 3", "0 2 1 3", "0 2 1 3", "0 2 1 3", "1 3 0 2", "0 2 1 3", "0 2 1 3"},
    {"intel_uhd_630_windows", "2 0 1", "0 1 2", "0 1", "0 1", "1 0", "0 1", "2 0 1"},
    {"intel_xe_tgl", "0", "0", "0", "0", "0", "0", "0"},
    {"mesa_llvmpipe", "0", "0", "0", "0", "0", "0", "0"},
    {"nvidia_gtx_1650", "1 4 0 2 3", "1 4 2 3 0", "4 2 3", "2 3 4", "3 2 4", "4 2 3", "1 4 0 2 3"},
    // 0 to 6 are memory of the host's for one kind of image each, and no window into the device's at all.
    {"nvidia_quadro_k620", "7 8 0 1 2 3 4 5 6 9 10", "7 8 9 10 0 1 2 3 4 5 6", "9 10", "9 10", "10 9", "9 10",
     "7 8 0 1 2 3 4 5 6 9 10"},
    {"nvidia_rtx_3060_ti_linux", "7 10 0 1 2 3 4 5 6 8 9", "7 10 8 9 0 1 2 3 4 5 6", "10 8 9", "8 9 10",
     "9 8 10", "10 8 9", "7 10 0 1 2 3 4 5 6 8 9"},
    {"nvidia_rtx_3060_ti_rebar", "1 2 5 0 3 4", "5 1 2 3 4 0", "5 3 4", "3 4 5", "4 3 5", "5 3 4",
     "1 2 5 0 3 4"},
    {"radv_rx_470", "0 1 3 4 2 5 6", "0 1 3 4 2 5 6", "3 4 2 5 6", "2 5 6 3 4", "5 6 2 3 4", "3 4 2 5 6",
     "0 1 3 4 2 5 6"},
    {"radv_rx_5500_xt_rebar", "0 1 3 4 2 5 6", "3 4 0 1 2 5 6", "3 4 2 5 6", "2 5 6 3 4", "5 6 2 3 4",
     "3 4 2 5 6", "0 1 3 4 2 5 6"},
    // RADV divides one memory into two thirds that are the device's and one third that is the host's.
    {"radv_vega_8", "0 2 1 3", "2 0 1 3", "2 1 3", "1 3 2", "3 1 2", "2 1 3", "0 2 1 3"},
};

}  // namespace vaspace::test
