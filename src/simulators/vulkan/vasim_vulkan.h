/* Control of the simulated Vulkan driver from within the program that uses it.
 *
 * The driver is configured by the environment variable VASIM_VULKAN, which is read when an instance is
 * created and no other one lives. What this header offers works at any time after that, from any thread, for
 * the whole process. There is nothing to link: a program finds the functions in the driver that the Vulkan
 * loader has loaded,
 *
 *   void* driver = dlopen(VASIM_VULKAN_LIBRARY, RTLD_NOW | RTLD_NOLOAD);
 *   if (driver != NULL) get = (PFN_vasim_vulkan_control)dlsym(driver, "vasim_vulkan_control");
 *
 * so that the same program runs on any other driver, where `driver` is NULL.
 */
#ifndef VASIM_VULKAN_H
#define VASIM_VULKAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VASIM_VULKAN_LIBRARY "libvasim_vulkan.so"
#define VASIM_VULKAN_CONTROL_VERSION 1

/* A rule that was broken. The strings are valid until the reports are cleared. */
typedef struct VasimVulkanReport {
  const char* rule;   /* "V12", or one of the driver's own: "D1" to "D9" */
  const char* object; /* its type, handle and debug name */
  const char* reason;
} VasimVulkanReport;

typedef struct VasimVulkanControl {
  /* How many reports there are, in all or of one rule. */
  size_t (*report_count)(void);
  size_t (*report_count_of)(const char* rule);
  /* Fills `out` with report `index` and returns 1, or returns 0 where there is none. The first 4096 are kept.
   */
  int (*report_at)(size_t index, VasimVulkanReport* out);
  void (*clear_reports)(void);

  /* The nth call of `function`, counted from now on and from 1, returns `result` (a VkResult) and does
   * nothing else. "vkAllocateMemory", or "*": any command of a device that returns a VkResult, and
   * vkCreateDevice. VK_ERROR_DEVICE_LOST also loses the device. Several plans can be there at a time. Returns
   * 0 where no such function exists. */
  int (*fail_call)(const char* function, uint64_t nth, int32_t result);
  /* Each call of `function` fails with this probability; the sequence depends on `seed` alone. */
  int (*fail_share)(const char* function, double probability, uint64_t seed, int32_t result);
  void (*clear_failures)(void);
  /* Calls of `function` since the driver was configured, those that were made to fail included. */
  uint64_t (*call_count)(const char* function);
  /* Failures that were injected since the driver was configured. */
  uint64_t (*injected_count)(void);

  /* "Another process" holds this much of a heap of every device of that profile from now on (NULL: of every
   * device). */
  void (*set_other_usage)(const char* profile, uint32_t heap, uint64_t bytes);
  /* Every device that lives is lost. */
  void (*lose_devices)(void);
  /* While held, no queue begins anything; a program can so choose what is still pending at a moment. */
  void (*hold_queues)(int hold);
  /* Host bytes that stand behind device memory of this process now, and objects of all kinds that live. */
  uint64_t (*memory_bytes)(void);
  uint64_t (*live_objects)(void);
} VasimVulkanControl;

/* The functions, or NULL where this driver is older than `version`. */
typedef const VasimVulkanControl* (*PFN_vasim_vulkan_control)(uint32_t version);

#ifdef __cplusplus
}
#endif

#endif
