/* The prefixes come before volk's source, in which the function that fills a table is static. */
/* clang-format off */
#include "volk_table.h"
#include <volk.c>
/* clang-format on */

struct DeviceLookup {
  VkDevice device;
  PFN_vkGetDeviceProcAddr get;
};

static PFN_vkVoidFunction look_up(void* context, const char* name) {
  const struct DeviceLookup* lookup = context;
  return lookup->get(lookup->device, name);
}

void vaspace_volk_fill_table(struct VolkDeviceTable* table, VkDevice device, PFN_vkGetDeviceProcAddr get) {
  struct DeviceLookup lookup = {device, get};
  volkGenLoadDeviceTable(table, &lookup, look_up);
}
