/* What torch.cuda.memory.CUDAPluggableAllocator loads from libvaspace_torch.so:
 *
 *   torch.cuda.memory.CUDAPluggableAllocator("libvaspace_torch.so", "vaspace_torch_allocate",
 *                                            "vaspace_torch_free")
 *
 * One stream allocator per device, made by the first call for it and kept until the process ends; every
 * device that can reach another's memory may. The driver is libcuda.so.1, or what VASPACE_CUDA_DRIVER names.
 * Any thread may call at any time. */
#ifndef VASPACE_FRONTENDS_CUDA_TORCH_H
#define VASPACE_FRONTENDS_CUDA_TORCH_H

#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st; /* cudaStream_t is a pointer to it; NULL is the default stream of the device named beside
                     */

/* Device memory in the order of the stream; NULL for size 0. PyTorch takes whatever this returns for memory,
   so what is refused is thrown, as C++ exceptions with the text that vaspace_torch_last_error has:
   std::bad_alloc where memory of some kind is lacking, std::runtime_error for the rest (no such device, a
   size below 0, what the driver said). */
void* vaspace_torch_allocate(ssize_t size, int device, struct CUstream_st* stream);
/* The same for callers that are C: never throws, NULL where it is refused too. */
void* vaspace_torch_try_allocate(ssize_t size, int device, struct CUstream_st* stream);
/* `memory` was allocated on the device; all use of it is on the stream, or was waited for. NULL is nothing.
   What is wrong is said by vaspace_torch_last_error, counted where the device has an allocator, and changes
   nothing. */
void vaspace_torch_free(void* memory, ssize_t size, int device, struct CUstream_st* stream);
/* The memory, which is of whichever device, is used on this stream too, which may be another device's: what
   is freed then waits for it as well. Of the type that PyTorch's set_record_stream_fn takes. NULL is nothing;
   what is wrong is counted as a bad free is. */
void vaspace_torch_record_stream(void* memory, struct CUstream_st* stream);
/* Before a stream is destroyed; 0, or the CUresult, which is CUDA_ERROR_UNKNOWN where no call of the driver
   was refused. */
int vaspace_torch_release_stream(int device, struct CUstream_st* stream);
/* Where the driver has given a released stream's number to a new one, before that is used; 0, or the
   CUresult. A stream that was never released needs none. */
int vaspace_torch_add_stream(int device, struct CUstream_st* stream);
/* Gives unused memory back to the device, as torch.cuda.empty_cache() does. */
void vaspace_torch_trim(int device);

typedef struct vaspace_torch_statistics {
  uint64_t live_allocations;
  uint64_t live_bytes;     /* asked for */
  uint64_t physical_bytes; /* held from the device */
  uint64_t idle_bytes;     /* part of it that is behind no address */
  uint64_t parked_bytes;   /* freed, kept by a stream for the same size */
  uint64_t refused;        /* allocations that got none */
  uint64_t bad_frees;      /* frees, and streams recorded, that changed nothing */
  uint64_t waiting_bytes;  /* freed, but other streams have not passed yet */
} vaspace_torch_statistics;

/* 0, or -1 where nothing was allocated on the device yet. */
int vaspace_torch_get_statistics(int device, vaspace_torch_statistics* statistics);
/* One sentence about this thread's last refusal; never NULL. */
const char* vaspace_torch_last_error(void);
/* Gives everything back, for a program that ends its use of the devices before it ends itself. No other call
   is under way. */
void vaspace_torch_close(void);

#ifdef __cplusplus
}
#endif

#endif
