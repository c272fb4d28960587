// A heap whose blocks hold few movable buffers here and there, and what a renderer does about a plan.
#pragma once

#include "vulkan/heap_fixture.hpp"

namespace vaspace::test {

class MoveTest : public HeapTest {
 protected:
  void SetUp() override {
    small = 0_B;
    block = 1_MiB;
  }
  // Buffers of 64 KiB, filled with their number; every third stays, so that blocks are sparsely used.
  void scatter(std::size_t count) {
    std::vector<vulkan::Buffer> all;
    for (std::size_t i = 0; i < count; ++i) {
      auto made = heap->create_buffer({.size = 64_KiB, .usage = kTransfer, .movable = true, .user_data = i});
      ASSERT_TRUE(made) << to_string(made.error().code);
      all.push_back(std::move(*made));
    }
    gpu->run([&](VkCommandBuffer commands) {
      for (std::size_t i = 0; i < count; ++i)
        vkCmdFillBuffer(commands, all[i].buffer(), 0, VK_WHOLE_SIZE, static_cast<std::uint32_t>(i));
    });
    for (std::size_t i = 0; i < count; i += 3) {
      numbers.push_back(static_cast<std::uint32_t>(i));
      kept.push_back(std::move(all[i]));
    }
    all.clear();
    heap->collect();
  }
  void copy(std::span<const vulkan::ResourceMove> moves) {
    gpu->run([&](VkCommandBuffer commands) {
      for (const vulkan::ResourceMove& move : moves) {
        const VkBufferCopy region{0, 0, move.size.value};
        vkCmdCopyBuffer(commands, move.source_buffer, move.destination_buffer, 1, &region);
      }
    });
  }
  void expect_contents() {
    for (std::size_t i = 0; i < kept.size(); ++i) {
      if (!kept[i]) continue;
      const std::vector<std::uint32_t> words = gpu->words_of(kept[i].buffer(), 64_KiB);
      EXPECT_EQ(words.front(), numbers[i]);
      EXPECT_EQ(words.back(), numbers[i]);
    }
  }
  std::vector<vulkan::ResourceMove> plan(std::size_t most = 64) {
    std::vector<vulkan::ResourceMove> moves(most);
    const auto count = heap->plan_moves({}, moves);
    EXPECT_TRUE(count);
    moves.resize(count.value_or(0));
    return moves;
  }
  void TearDown() override {
    kept.clear();
    HeapTest::TearDown();
  }

  std::vector<vulkan::Buffer> kept;
  std::vector<std::uint32_t> numbers;
};

}  // namespace vaspace::test
