// The whole state of the simulated driver, behind one lock.
//
// Handles (contexts, streams, events, memory, pools) are numbers that are never given twice, so that a stale
// one is always recognised. All members are guarded by machine().mutex.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cuda.h>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "address_space.hpp"
#include "configuration.hpp"
#include "device_memory.hpp"
#include "profile.hpp"
#include "reports.hpp"
#include "stream.hpp"

namespace vasim::cuda {

struct Context {
  std::uint64_t id = 0;
  int device = 0;
  bool primary = false;
  bool alive = true;
  unsigned flags = 0;
  CUresult error = CUDA_SUCCESS;  // sticky
  std::shared_ptr<Stream> legacy;
  std::map<std::uint64_t, std::shared_ptr<Stream>> per_thread;  // by thread
  std::map<std::uint64_t, bool> peers;                          // contexts whose memory this one reaches
  std::map<int, std::size_t> limits;
  // Of streams that are gone: what a wait for the context, and the default stream, are ordered after.
  Clock ended, ended_blocking;
  std::vector<std::uint64_t> gone;
};

struct Event {
  unsigned flags = 0;
  std::uint64_t context = 0;
  Point point;  // number 0: never recorded
  Clock clock;
  std::chrono::steady_clock::time_point time;
};

// A handle of cuMemCreate or of an import.
struct MemoryHandle {
  std::shared_ptr<Physical> physical;
  CUmemAllocationProp properties{};
  std::uint64_t references = 1;  // to be released
  std::uint64_t mappings = 0;
  bool imported = false;
  bool ever_mapped = false;
};

struct Pool;

struct Device {
  int ordinal = 0;
  const DeviceProfile* profile = nullptr;
  std::unique_ptr<DeviceMemory> memory;
  std::uint64_t primary_id = 0;
  std::shared_ptr<Context> primary;
  unsigned primary_references = 0;
  unsigned primary_flags = 0;
  CUresult lost = CUDA_SUCCESS;
  std::uint64_t default_pool = 0;
  std::uint64_t current_pool = 0;
};

struct Driver {
  Configuration configuration;
  Profile profile;
  std::string fault;  // why there is no driver: a bad configuration or profile
  bool initialised = false;
  std::uint64_t calls = 0;
  std::map<std::string, std::uint64_t, std::less<>> calls_of;
  Faults faults;
  Reports reports;
  std::vector<Device> devices;
  AddressSpace space;
  std::map<std::uint64_t, MemoryHandle> handles;
  std::map<std::uint64_t, std::shared_ptr<Context>> contexts;
  std::map<std::uint64_t, std::shared_ptr<Stream>> streams;
  std::map<std::uint64_t, std::shared_ptr<Event>> events;
  std::map<std::uint64_t, std::shared_ptr<Pool>> pools;
  Clock host;                       // what the program has waited for
  std::uint64_t threads = 0;        // of streams
  bool captured_elsewhere = false;  // as if another thread captured a graph in the global mode
  std::vector<Range> refused;  // ranges that a program may take for reserved, though they are not (C2, C18)
};

// What outlives a restart. Never destroyed, for streams may still run when the process exits.
struct Machine {
  std::mutex mutex;
  std::condition_variable changed;  // anything that somebody may wait for
  std::unique_ptr<Driver> driver;
  std::uint64_t generation = 1;  // of the driver
  bool held = false;             // streams begin nothing
  std::atomic<int> process{0};   // that initialised the driver: a forked child has no threads of it
};
[[nodiscard]] Machine& machine();

// A driver that has read its configuration (null: the environment's) and is not initialised yet.
[[nodiscard]] std::unique_ptr<Driver> make_driver(const char* configuration);

[[nodiscard]] std::uint64_t new_id();

// The live object of a handle, or null.
[[nodiscard]] Context* find_context(Driver& driver, CUcontext handle);
[[nodiscard]] MemoryHandle* find_handle(Driver& driver, CUmemGenericAllocationHandle handle);
[[nodiscard]] Device* find_device(Driver& driver, int ordinal);

// What the context is stuck in: an error of its own, or its lost device.
[[nodiscard]] CUresult error_of(Driver& driver, const Context& context);

[[nodiscard]] inline std::uint32_t device_bit(int device) {
  return 1U << static_cast<unsigned>(device);
}
[[nodiscard]] bool can_reach(const Driver& driver, int device, int peer);

template <class Handle>
[[nodiscard]] Handle handle_of(std::uint64_t id) {
  return reinterpret_cast<Handle>(id);
}
template <class Handle>
[[nodiscard]] std::uint64_t id_of(Handle handle) {
  return reinterpret_cast<std::uint64_t>(handle);
}

}  // namespace vasim::cuda
