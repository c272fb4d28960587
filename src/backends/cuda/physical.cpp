// Physical memory: created, destroyed, and shared with other processes by file descriptor.
#include <unistd.h>

#include "state.hpp"

namespace vaspace::cuda {
namespace {

// Memory of the driver that is not in the books yet. All of it or none.
Result<void> create_all(Backend::State& s, std::size_t size,
                        std::span<CUmemGenericAllocationHandle> out) noexcept {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const CUresult made = s.driver.create(&out[i], size, &s.properties, 0);
    if (made == CUDA_SUCCESS) continue;
    for (std::size_t back = 0; back < i; ++back) {
      if (s.driver.release(out[back]) == CUDA_SUCCESS) continue;
      s.orphans.push_back_reserved({out[back], 0, size});
      s.used += Bytes{size};
    }
    return fail(error_of(made));
  }
  return {};
}

}  // namespace

Result<void> Backend::create_physical(const PhysicalRequest& request, std::span<PhysicalId> out) noexcept {
  State& s = *state_;
  const Result<Bytes> total = check_physical_request(s.profile, request, out.size());
  if (!total) return fail(total.error());
  if (out.empty()) return {};
  const std::lock_guard lock(s.mutex);
  if (Result<void> alive = s.alive(); !alive) return alive;
  HostArray<CUmemGenericAllocationHandle> handles(s.host);
  const bool room =
      handles.resize(out.size()) && s.objects.reserve(out.size()) && s.room_for_orphans(out.size());
  if (!room) return fail(ErrorCode::out_of_host_memory);
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return entered;
  if (Result<void> made = create_all(s, request.size.value, handles.span()); !made) {
    s.retry_orphans();
    return made;
  }
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = s.objects.add(handles[i], request.size, request.memory_type);
  s.used += *total;
  return {};
}

// What was released cannot be had back: once one is gone, what is refused is tried again later (C16), and
// counted until then.
Result<void> Backend::destroy_physical(std::span<const PhysicalId> objects) noexcept {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  const Result<void> unused = hide_unused(s.objects, objects, s.copies_done);
  if (!unused) return unused;
  const ContextScope scope(s);
  Result<void> entered = scope.entered();
  for (std::size_t i = 0; entered && i < objects.size(); ++i) {
    const PhysicalObject& object = s.objects[PhysicalTable::slot_of(objects[i])];
    const CUresult released = s.driver.release(object.place);
    if (released == CUDA_SUCCESS) {
      s.used -= object.size;
    } else if (i == 0) {
      entered = fail(error_of(released));
      break;
    } else {
      s.orphans.push_back_reserved({object.place, 0, object.size.value});
    }
    s.objects.remove(objects[i]);
  }
  if (entered) {
    s.retry_orphans();
    return {};
  }
  for (const PhysicalId id : objects)
    s.objects.show(id);
  return entered;
}

Result<ExternalHandle> Backend::export_physical(PhysicalId physical) noexcept {
  State& s = *state_;
  if (!s.profile.capabilities.external_memory) return fail(ErrorCode::not_supported);
  const std::lock_guard lock(s.mutex);
  const PhysicalObject* object = s.objects.find(physical);
  if (object == nullptr) return fail(ErrorCode::unknown_handle);
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  ExternalHandle handle;
  const CUresult exported =
      s.driver.export_handle(&handle.fd, object->place, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
  if (exported != CUDA_SUCCESS) return fail(error_of(exported));
  return handle;
}

Result<PhysicalId> Backend::import_physical(const PhysicalRequest& request, ExternalHandle handle) noexcept {
  State& s = *state_;
  if (!s.profile.capabilities.external_memory) return fail(ErrorCode::not_supported);
  const Result<Bytes> size = check_physical_request(s.profile, request, 1);
  if (!size) return fail(size.error());
  if (handle.fd < 0) return fail(ErrorCode::invalid_argument);
  const std::lock_guard lock(s.mutex);
  if (!s.objects.reserve(1) || !s.room_for_orphans(1)) return fail(ErrorCode::out_of_host_memory);
  const ContextScope scope(s);
  if (Result<void> entered = scope.entered(); !entered) return fail(entered.error());
  CUmemGenericAllocationHandle imported = 0;
  // The driver takes the number itself in the place of a pointer. NOLINTNEXTLINE(performance-no-int-to-ptr)
  void* const descriptor = reinterpret_cast<void*>(static_cast<std::intptr_t>(handle.fd));
  const CUresult got =
      s.driver.import_handle(&imported, descriptor, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  if (got != CUDA_SUCCESS) return fail(error_of(got));
  close(handle.fd);
  s.used += *size;
  return s.objects.add(imported, *size, request.memory_type);
}

}  // namespace vaspace::cuda
