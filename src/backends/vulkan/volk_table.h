/* volk under our own names (volk.cmake), and the one thing that is used of it: a device's function table. */
#ifndef VASPACE_SRC_BACKENDS_VULKAN_VOLK_TABLE_H
#define VASPACE_SRC_BACKENDS_VULKAN_VOLK_TABLE_H

/* The prefixes come before any Vulkan header. */
/* clang-format off */
#include "volk_prefix.h"
#include <volk.h>
/* clang-format on */

#ifdef __cplusplus
extern "C" {
#endif

/* Fills `table` with what `look_up` answers, and touches none of volk's globals. Functions of extensions that
   are not enabled become null. */
void vaspace_volk_fill_table(struct VolkDeviceTable* table, void* context,
                             PFN_vkVoidFunction (*look_up)(void* context, const char* name));

#ifdef __cplusplus
}
#endif

#endif
