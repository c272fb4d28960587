/* The prefixes come before volk's source, in which the function that fills a table is static. */
/* clang-format off */
#include "volk_table.h"
#include <volk.c>
/* clang-format on */

void vaspace_volk_fill_table(struct VolkDeviceTable* table, void* context,
                             PFN_vkVoidFunction (*look_up)(void* context, const char* name)) {
  volkGenLoadDeviceTable(table, context, look_up);
}
