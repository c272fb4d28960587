// R7 on every driver call that this library makes: each result that the registry lists for it, at each call
// of a few scenes. The error is typed and has the VkResult in it, the state is as it was, the same calls work
// afterwards, and at the end nothing is left. Without the layer, which takes a submit that was refused for
// one that is pending.
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <unistd.h>

#include "vulkan/refusable.hpp"
#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {
namespace {

TEST(RegistryTest, R7_TheResultsAreTheRegistrys) {
  std::ifstream file("/usr/share/vulkan/registry/vk.xml");
  if (!file) GTEST_SKIP() << "the registry is not installed";
  std::stringstream read;
  read << file.rdbuf();
  const std::string registry = read.str();
  for (const Refusable& one : refusable()) {
    const std::size_t name = registry.find("<name>" + std::string(one.function) + "</name>");
    ASSERT_NE(name, std::string::npos) << one.function;
    const std::size_t command = registry.rfind("<command ", name);
    constexpr std::string_view kCodes = "errorcodes=\"";
    const std::size_t begin = registry.find(kCodes, command) + kCodes.size();
    std::stringstream list(registry.substr(begin, registry.find('"', begin) - begin));
    std::set<std::string> said, here;
    for (std::string code; std::getline(list, code, ',');)
      said.insert(code);
    for (const auto& [result, value] : one.results)
      here.insert(result);
    EXPECT_EQ(here, said) << one.function;
  }
}

// What must be as it was, once all that is unused is given back.
struct State {
  std::uint64_t buffers = 0, images = 0, retired = 0, sub_buffers = 0, allocations = 0, moves = 0;
  Bytes live{}, committed{}, sparse{};
  std::uint64_t account = 0, objects = 0, bytes = 0;

  friend bool operator==(const State&, const State&) = default;
  friend std::ostream& operator<<(std::ostream& out, const State& s) {
    return out << s.buffers << " buffers, " << s.images << " images, " << s.retired << " retired, "
               << s.sub_buffers << " sub-buffers, " << s.allocations << " allocations, " << s.moves
               << " moves, " << s.live.value << " live, " << s.committed.value << " committed, "
               << s.sparse.value << " sparse, " << s.account << " counted, " << s.objects << " objects, "
               << s.bytes << " bytes";
  }
};

// A scene does all that it is about and takes it back; what was refused, or nothing.
using Scene = std::optional<Error> (*)(class RefusalsTest&);

class RefusalsTest : public RulesTest {
 public:
  void open_scene() {
    block = 1_MiB;
    open_with({.profile = "discrete_bar256", .validate = false}, [](vulkan::HeapConfig& config) {
      config.memory.small = 64_KiB;
      config.memory.first_block = config.memory.largest_block = 2_MiB;
    });
    points = add_timeline();
    gpu->signal(timeline, 1);
  }
  // What the driver has given, before anything is collected.
  static std::pair<std::uint64_t, std::uint64_t> held() {
    return {TestDevice::control().live_objects(), TestDevice::control().memory_bytes()};
  }
  State state() {
    heap->collect();
    heap->trim();
    const vulkan::HeapReport report = heap->report();
    return {.buffers = report.buffers,
            .images = report.images,
            .retired = report.retired,
            .sub_buffers = report.sub_buffers,
            .allocations = report.memory.total.allocations,
            .moves = report.memory.moves_open,
            .live = report.memory.total.live,
            .committed = report.memory.total.committed,
            .sparse = backend->account().sparse(),
            .account = backend->account().memory_objects(),
            .objects = TestDevice::control().live_objects(),
            .bytes = TestDevice::control().memory_bytes()};
  }
  // Every result of every function at every call: so many at least, and so many of them told.
  void refuse_each(const char* name, Scene scene, int least, int least_told) {
    open_scene();
    EXPECT_EQ(scene(*this), std::nullopt) << name;
    (void)state();
    int injected = 0;
    for (const Refusable& one : refusable()) {
      const std::uint64_t before = calls(one.function);
      EXPECT_EQ(scene(*this), std::nullopt) << name;
      (void)state();
      const std::uint64_t count = std::min<std::uint64_t>(calls(one.function) - before, 12);
      for (const auto& [result, value] : one.results) {
        if (count != 0) refuse_always(scene, one.function, value, std::string(name) + ": " + one.function);
        for (std::uint64_t nth = 1; nth <= count; ++nth)
          injected +=
              refuse(scene, one.function, nth, value,
                     std::string(name) + ": " + one.function + " " + std::to_string(nth) + " " + result)
                  ? 1
                  : 0;
      }
    }
    EXPECT_GE(injected, least) << name;
    EXPECT_GE(told, least_told) << name;
  }

  using HeapTest::add_timeline;
  using HeapTest::backend;
  using HeapTest::gpu;
  using HeapTest::heap;
  using HeapTest::host;
  TimelineId points{};

 private:
  // By the name that the device has it under: the extension's, where it is of a later Vulkan.
  static std::string known(const char* function) {
    const std::string later = std::string(function) + "KHR";
    return TestDevice::control().call_count(later.c_str()) != 0 ? later : function;
  }
  static std::uint64_t calls(const char* function) {
    return TestDevice::control().call_count(known(function).c_str());
  }
  // Nobody who waits or asks how far the device is gets on without an answer, and a device is lost once.
  static bool is_wait(const char* function) {
    return std::strcmp(function, "vkGetSemaphoreCounterValue") == 0 ||
           std::strcmp(function, "vkWaitSemaphores") == 0;
  }
  // Every call of the function, so that no second try helps.
  void refuse_always(Scene scene, const char* function, VkResult result, const std::string& where) {
    if (is_wait(function) || result == VK_ERROR_DEVICE_LOST) return;
    const State before = state();
    EXPECT_NE(TestDevice::control().fail_share(known(function).c_str(), 1, 1, result), 0) << where;
    const auto held_before = held();
    const std::optional<Error> error = scene(*this);
    TestDevice::control().clear_failures();
    if (error && one_call) {
      EXPECT_EQ(held(), held_before) << where << ", always: it goes back at once";
    }
    if (error) {
      ++told;
      EXPECT_EQ(*error, error_for(result)) << where << ", always: " << to_string(error->code);
    }
    EXPECT_EQ(heap->validate(), nullptr) << where;
    EXPECT_EQ(state(), before) << where << ", always";
    EXPECT_EQ(scene(*this), std::nullopt) << where << ": it works when it is tried again";
  }
  bool refuse(Scene scene, const char* function, std::uint64_t nth, VkResult result,
              const std::string& where) {
    const State before = state();
    const std::uint64_t injected = TestDevice::control().injected_count();
    EXPECT_NE(TestDevice::control().fail_call(known(function).c_str(), nth, result), 0) << where;
    const auto held_before = held();
    const std::optional<Error> error = scene(*this);
    if (error && one_call && result != VK_ERROR_DEVICE_LOST) {
      EXPECT_EQ(held(), held_before) << where << ": it goes back at once";
    }
    const bool hit = TestDevice::control().injected_count() != injected;
    TestDevice::control().clear_failures();
    // A second try, other types of memory, smaller blocks and a later look do for some. Of a lost device
    // somebody hears, but at the very end.
    const bool asked_again = std::strcmp(function, "vkGetSemaphoreCounterValue") == 0;
    if (hit && !error) {
      EXPECT_TRUE(result != VK_ERROR_DEVICE_LOST || asked_again || ends) << where << ": nobody said so";
    }
    if (hit && error) ++told;
    if (error) {
      EXPECT_EQ(*error, error_for(result)) << where << ": " << to_string(error->code) << " " << error->native;
    }
    EXPECT_EQ(heap->validate(), nullptr) << where;
    if (result == VK_ERROR_DEVICE_LOST && hit) {
      lost = true;
      close();
      // What there is of a lost device is destroyed all the same.
      EXPECT_EQ(TestDevice::control().live_objects(), 0U) << where;
      lost = false;
      open_scene();
      EXPECT_EQ(scene(*this), std::nullopt) << where;
      return hit;
    }
    EXPECT_EQ(state(), before) << where;
    EXPECT_EQ(scene(*this), std::nullopt) << where << ": it works when it is tried again";
    EXPECT_EQ(state(), before) << where;
    return hit;
  }

 protected:
  int told = 0;       // of what was injected, as errors
  bool ends = false;  // what takes the scene back has nobody to tell
  // The scene is one call that takes from the device: what it was refused leaves nothing, before any collect.
  bool one_call = false;
};

#define VASPACE_TRY(expression) \
  if (const auto& tried = (expression); !tried) return tried.error()

std::optional<Error> mapped_buffer(RefusalsTest& test) {
  const auto buffer = test.heap->create_buffer(
      {.size = 64_KiB, .usage = kTransfer, .intent = Intent::readback, .mapping = Mapping::required});
  VASPACE_TRY(buffer);
  VASPACE_TRY(test.heap->flush(*buffer));
  VASPACE_TRY(test.heap->invalidate(*buffer));
  return std::nullopt;
}

std::optional<Error> mapped_alone(RefusalsTest& test) {
  const auto buffer = test.heap->create_buffer({.size = 1_MiB,
                                                .usage = kTransfer,
                                                .intent = Intent::upload,
                                                .mapping = Mapping::required,
                                                .dedicated = DedicatedWish::required});
  VASPACE_TRY(buffer);
  return std::nullopt;
}

std::optional<Error> several_at_once(RefusalsTest& test) {
  const vulkan::BufferRequest request{
      .size = 1_MiB, .usage = kTransfer, .dedicated = DedicatedWish::required};
  const std::array<vulkan::BufferRequest, 3> requests{request, request, request};
  std::array<vulkan::Buffer, 3> all;
  VASPACE_TRY(test.heap->create_buffers(requests, all));
  return std::nullopt;
}

std::optional<Error> movable_buffer(RefusalsTest& test) {
  const auto buffer = test.heap->create_buffer({.size = 300_KiB, .usage = kTransfer, .movable = true});
  VASPACE_TRY(buffer);
  return std::nullopt;
}

std::optional<Error> dedicated_image(RefusalsTest& test) {
  const VkImageCreateInfo info = image_info(256);
  const auto image = test.heap->create_image({.info = &info, .dedicated = DedicatedWish::required});
  VASPACE_TRY(image);
  return std::nullopt;
}

std::optional<Error> shared_buffers(RefusalsTest& test) {
  const auto range = test.heap->alloc_buffer({.size = 5_KiB,
                                              .usage = VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
                                              .intent = Intent::dynamic,
                                              .mapping = Mapping::required});
  VASPACE_TRY(range);
  return std::nullopt;
}

std::optional<Error> sparse_pages(RefusalsTest& test) {
  std::vector<vulkan::Buffer> all;
  for (const Bytes size : {4_KiB, 100_KiB, 1_MiB}) {
    auto range = test.heap->alloc_buffer(size, kVertex);
    VASPACE_TRY(range);
    all.push_back(std::move(*range));
  }
  return std::nullopt;
}

// Pools are made with it, and go with it.
std::optional<Error> heap_of_its_own(RefusalsTest& test) {
  vulkan::HeapConfig config;
  config.memory.host = test.host.allocator();
  config.sparse = {.queue = test.gpu->sparse, .family = test.gpu->sparse_family};
  config.transfer = {.queue = test.gpu->graphics, .family = test.gpu->graphics_family};
  auto heap = vulkan::Heap::create(*test.backend, config);
  VASPACE_TRY(heap);
  const auto range = heap->alloc_buffer(100_KiB, kVertex);
  VASPACE_TRY(range);
  return std::nullopt;
}

std::optional<Error> retired(RefusalsTest& test) {
  auto buffer = test.heap->create_buffer({.size = 1_MiB, .usage = kTransfer});
  VASPACE_TRY(buffer);
  VASPACE_TRY(test.heap->retire(std::move(*buffer), {test.points, 1}));
  test.heap->collect();
  return std::nullopt;
}

std::optional<Error> moves(RefusalsTest& test) {
  std::vector<vulkan::Buffer> all;
  for (int i = 0; i < 10; ++i) {
    auto buffer = test.heap->create_buffer({.size = 400_KiB, .usage = kTransfer, .movable = true});
    VASPACE_TRY(buffer);
    all.push_back(std::move(*buffer));
  }
  for (std::size_t i = 0; i < all.size(); i += 2)
    all[i].reset();
  std::array<vulkan::ResourceMove, 4> planned;
  const auto count = test.heap->plan_moves({}, planned);
  VASPACE_TRY(count);
  const TimelinePoint passed{test.points, 1};
  for (std::uint32_t i = 0; i < *count; ++i) {
    if (i % 2 == 0) {
      VASPACE_TRY(test.heap->commit_move(planned[i], {&passed, 1}));
    } else {
      VASPACE_TRY(test.heap->abandon_move(planned[i], {&passed, 1}));
    }
  }
  test.heap->collect();
  return std::nullopt;
}

std::optional<Error> import_again(RefusalsTest& test, const HeapAllocation& memory) {
  const auto request = test.heap->memory().export_request(memory);
  VASPACE_TRY(request);
  const auto handle = test.heap->export_memory(memory);
  VASPACE_TRY(handle);
  const auto imported = test.heap->import_memory(*request, *handle);
  if (!imported) ::close(handle->fd);
  VASPACE_TRY(imported);
  test.heap->free(*imported);
  return std::nullopt;
}

std::optional<Error> exported_and_imported(RefusalsTest& test) {
  const auto memory = test.heap->allocate({(1_MiB).value, 256, 2}, {.exportable = true});
  VASPACE_TRY(memory);
  const std::optional<Error> error = import_again(test, *memory);
  test.heap->free(*memory);
  return error;
}

std::optional<Error> host_pointer(RefusalsTest& test) {
  const Bytes unit = test.backend->host_pointer_alignment();
  const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(unit.value, unit.value),
                                                           &std::free);
  const auto imported = test.heap->import_host_pointer({.pointer = memory.get(), .size = unit});
  VASPACE_TRY(imported);
  test.heap->free(*imported);
  test.heap->memory().trim();  // the memory goes back to us
  return std::nullopt;
}

// All that a sparse backend asks of a driver; what is left of it goes with it.
std::optional<Error> sparse_backend(RefusalsTest& test, bool residency) {
  vulkan::SparseConfig config = test.gpu->sparse_config();
  config.device = test.backend->config();
  config.device.features.sparse_residency_buffer = residency;
  const auto made = vulkan::SparseBackend::create(config);
  VASPACE_TRY(made);
  vulkan::SparseBackend& sparse = **made;
  const auto reservation = sparse.reserve({.size = 1_MiB});
  VASPACE_TRY(reservation);
  std::array<PhysicalId, 2> pages;
  if (residency) {
    VASPACE_TRY(sparse.create_physical({.size = 64_KiB}, pages));
    const std::array<BindOp, 2> put{{{reservation->address, 64_KiB, pages[0], {}},
                                     {reservation->address + 64_KiB, 64_KiB, pages[1], {}}}};
    VASPACE_TRY(sparse.bind(put, {}));
  }
  const CopyOp copy{reservation->address, reservation->address + 64_KiB, 64_KiB};
  const auto copied = sparse.copy({&copy, 1}, {});
  VASPACE_TRY(copied);
  VASPACE_TRY(sparse.wait(*copied, kForever));
  VASPACE_TRY(sparse.completed(*copied));
  if (residency) {
    const BindOp take{reservation->address, 128_KiB, {}, {}};
    const auto taken = sparse.bind({&take, 1}, {});
    VASPACE_TRY(taken);
    VASPACE_TRY(sparse.wait(*taken, kForever));
    VASPACE_TRY(sparse.destroy_physical(pages));
  }
  VASPACE_TRY(sparse.release(*reservation));
  return std::nullopt;
}
#undef VASPACE_TRY

TEST_F(RefusalsTest, R7_AMappedBuffer) {
  refuse_each("mapped buffer", &mapped_buffer, 13, 1);
}
TEST_F(RefusalsTest, R7_AMappedBufferAlone) {
  one_call = true;
  refuse_each("mapped alone", &mapped_alone, 10, 1);
}
TEST_F(RefusalsTest, R7_SeveralBuffersAtOnce) {
  one_call = true;
  refuse_each("several at once", &several_at_once, 20, 1);
}
TEST_F(RefusalsTest, R7_AMovableBuffer) {
  one_call = true;
  refuse_each("movable buffer", &movable_buffer, 10, 1);
}
TEST_F(RefusalsTest, R7_ADedicatedImage) {
  one_call = true;
  refuse_each("dedicated image", &dedicated_image, 10, 1);
}
TEST_F(RefusalsTest, R7_ASubBufferOfASharedBuffer) {
  refuse_each("shared buffer", &shared_buffers, 10, 1);
}
TEST_F(RefusalsTest, R7_SubBuffersOnSparsePages) {
  refuse_each("sparse pages", &sparse_pages, 20, 1);
}
TEST_F(RefusalsTest, R7_AHeapFromTheBeginning) {
  ends = true;
  refuse_each("heap", &heap_of_its_own, 20, 1);
}
TEST_F(RefusalsTest, R7_RetiredResources) {
  refuse_each("retired", &retired, 10, 1);
}
TEST_F(RefusalsTest, R7_Moves) {
  refuse_each("moves", &moves, 50, 1);
}
TEST_F(RefusalsTest, R7_V17_ExportAndImport) {
  refuse_each("export", &exported_and_imported, 10, 1);
}
TEST_F(RefusalsTest, R7_V17_AHostPointer) {
  refuse_each("host pointer", &host_pointer, 5, 1);
}
TEST_F(RefusalsTest, R7_ASparseBackend) {
  refuse_each(
      "sparse backend", [](RefusalsTest& test) { return sparse_backend(test, true); }, 30, 1);
}
TEST_F(RefusalsTest, R7_V20_ASparseBackendWithoutResidency) {
  refuse_each(
      "whole buffers", [](RefusalsTest& test) { return sparse_backend(test, false); }, 30, 1);
}

// Lost after the plan, between two commits, and before the points are looked at.
TEST_F(RefusalsTest, R7_ADeviceThatIsLostInTheMiddleOfADefragmentation) {
  for (int when = 0; when < 4; ++when) {
    open_scene();
    std::vector<vulkan::Buffer> all;
    for (int i = 0; i < 16; ++i)
      all.push_back(heap->create_buffer({.size = 400_KiB, .usage = kTransfer, .movable = true}).value());
    for (std::size_t i = 0; i < all.size(); i += 2)
      all[i].reset();
    if (when == 0) TestDevice::control().lose_devices();
    std::array<vulkan::ResourceMove, 4> planned;
    const auto count = heap->plan_moves({}, planned);
    if (!count) {
      EXPECT_EQ(count.error(), (Error{ErrorCode::device_lost, VK_ERROR_DEVICE_LOST})) << when;
    } else {
      EXPECT_GE(*count, 2U);
      if (when == 1) TestDevice::control().lose_devices();
      for (std::uint32_t i = 0; i < *count; ++i) {
        if (when == 2 && i == 1) TestDevice::control().lose_devices();
        const TimelinePoint never{points, 1000};
        const auto ended = heap->commit_move(planned[i], {&never, 1});
        if (!ended) {
          EXPECT_EQ(ended.error().code, ErrorCode::device_lost);
        }
      }
      if (when == 3) TestDevice::control().lose_devices();
    }
    heap->collect();
    heap->collect();
    EXPECT_EQ(heap->report().retired, 0U) << "everything has passed, " << when;
    EXPECT_EQ(heap->report().memory.moves_open, 0U) << when;
    EXPECT_EQ(heap->report().buffers, 8U) << when;
    EXPECT_EQ(heap->validate(), nullptr);
    if (const auto more = heap->create_buffer({.size = 8_MiB, .usage = kTransfer}); !more) {
      EXPECT_EQ(more.error(), (Error{ErrorCode::device_lost, VK_ERROR_DEVICE_LOST}));
    }
    all.clear();
    lost = true;
    close();
    EXPECT_EQ(TestDevice::control().live_objects(), 0U) << when;
    lost = false;
  }
}

}  // namespace
}  // namespace vaspace::test
