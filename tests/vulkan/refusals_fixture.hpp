// Each result that the registry lists for a driver call, at each call of a scene (R7). The error is typed and
// has the VkResult in it, the state is as it was, the same calls work afterwards, and at the end nothing is
// left. Without the layer, which takes a submit that was refused for one that is pending.
#pragma once

#include <cstring>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "vulkan/refusable.hpp"
#include "vulkan/rules_fixture.hpp"

namespace vaspace::test {

// What must be as it was, once all that is unused is given back.
struct HeapState {
  std::uint64_t buffers = 0, images = 0, retired = 0, sub_buffers = 0, allocations = 0, moves = 0;
  Bytes live{}, committed{}, sparse{};
  std::uint64_t account = 0, objects = 0, bytes = 0;

  friend bool operator==(const HeapState&, const HeapState&) = default;
  friend std::ostream& operator<<(std::ostream& out, const HeapState& s) {
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
  HeapState state() {
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
    const HeapState before = state();
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
    const HeapState before = state();
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

}  // namespace vaspace::test
