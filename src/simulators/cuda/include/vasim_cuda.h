/* Control of the simulated CUDA driver, for tests. The functions are in its libcuda.so.1 beside the driver's
   own; find them by dlsym, so that the program also runs on a real driver, where they are absent.

   They may be called by any thread at any time, unless said otherwise. */
#ifndef VASIM_CUDA_H
#define VASIM_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A rule that was broken. `code` is the CUresult that the program got; 0 where a real driver would not have
   noticed. Texts are cut to what fits. */
typedef struct vasim_cuda_report {
  char rule[16];    /* "C13" */
  char object[96];  /* "mapping 0x7f0000200000 + 0x200000" */
  char reason[160]; /* "cuMemUnmap: ..." */
  int code;
} vasim_cuda_report;

enum vasim_cuda_kind {
  VASIM_CUDA_HANDLES, /* of physical memory, with what mappings alone keep alive */
  VASIM_CUDA_MAPPINGS,
  VASIM_CUDA_RESERVATIONS,
  VASIM_CUDA_ALLOCATIONS, /* plain and stream-ordered ones that are not freed */
  VASIM_CUDA_HOST_MEMORY, /* allocations and registrations */
  VASIM_CUDA_CONTEXTS,
  VASIM_CUDA_STREAMS, /* the default streams of live contexts included */
  VASIM_CUDA_EVENTS,
  VASIM_CUDA_WORK /* pieces of work on streams that are not over; looking at it is no wait in the sense of C13
                   */
};

/* Waits for all streams, forgets everything (contexts, memory, reports, failures; old handles become stale),
   and starts again as a new process would, with this configuration in place of VASIM_CUDA's; null reads that
   again. No other thread may use the driver meanwhile. 0, or -1 where the configuration or the profile is
   wrong. */
int vasim_cuda_restart(const char* configuration);

/* From now on the `nth` call of the function (from 1; "*": any) and `times` - 1 after it return `code` and do
   nothing. Several may be set. -1 where an argument is senseless. */
int vasim_cuda_fail(const char* function, uint64_t nth, uint64_t times, int code);
/* The call is accepted; what it puts on a stream fails there, and the context with it. */
int vasim_cuda_fail_late(const char* function, uint64_t nth, uint64_t times, int code);
/* This share of calls, drawn from the seed. */
int vasim_cuda_fail_share(const char* function, uint32_t per_million, uint64_t seed, int code);
void vasim_cuda_clear_failures(void);

/* Every context of the device is stuck in `code` from now on; 0 brings the device back, for new contexts. */
int vasim_cuda_lose_device(int device, int code);
/* What "another process" holds from now on. */
int vasim_cuda_take_memory(int device, uint64_t bytes);

/* 1: no stream begins anything until 0 is given. What waits for a stream waits. */
void vasim_cuda_hold_streams(int hold);

/* 1: as if another thread captured a graph in the global mode, until 0 is given. Of a thread in that mode,
   the one it has until it exchanges it, calls that create, wait or ask break the capture: they are refused
   and reported
   ("capture"). Which of them a driver refuses is not written down; here all of them are. */
void vasim_cuda_capture_elsewhere(int captures);

/* How often a function was called (without its version suffix, "cuMemAlloc"), refused calls included; null:
 * all. */
uint64_t vasim_cuda_calls(const char* function);

/* How often a rule was broken; null: all. */
uint64_t vasim_cuda_reports(const char* rule);
/* The first few thousand are kept, oldest first; -1 where there is none of that index. */
int vasim_cuda_report_at(size_t index, vasim_cuda_report* report);
void vasim_cuda_clear_reports(void);

/* How many there are now. */
uint64_t vasim_cuda_live(enum vasim_cuda_kind kind);
/* Reports everything that a program which ends now would leave behind: handles that were never released (C10;
   imported ones: C11; never mapped ones: C16), descriptors that were never closed (C15), mappings and
   reservations (C17). Gives their number. */
uint64_t vasim_cuda_report_leaks(void);

#ifdef __cplusplus
}
#endif

#endif
