// Any thread may stream tiles of its texture, and ask what is resident, while others do (T1).
#include <thread>

#include "vulkan/sparse_texture_fixture.hpp"

namespace vaspace::test {
namespace {

TEST_F(SparseTextureTest, T1_EveryThreadStreamsItsTexture) {
  open({.profile = "discrete_rebar", .settings = "delay_us=0..20", .validate = false});
  ASSERT_TRUE(make_textures());
  const SparseTexture seen_by_all = texture({});
  const auto work = [&](std::uint32_t thread) {
    for (std::uint32_t round = 0; round < 8; ++round) {
      auto made = try_texture({.extent = {512, 512, 1}, .levels = 4});
      ASSERT_TRUE(made) << to_string(made.error().code);
      for (std::uint32_t i = 0; i < 6; ++i) {
        const TileChange changes[] = {{&*made, {.x = i % 4, .y = i / 4}, true},
                                      {&*made, {.x = (i + 3) % 4, .y = (i + 3) / 4 % 4}, false},
                                      {&seen_by_all, {.x = thread, .y = i}, (round + i) % 2 == 0}};
        ASSERT_TRUE(textures->update(changes));
        (void)seen_by_all.resident({.x = (thread + 1) % 3, .y = i});
        (void)textures->report();
      }
      textures->collect();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < 3; ++i)
      threads.emplace_back(work, i);
  }
  EXPECT_EQ(textures->validate(), nullptr);
}

}  // namespace
}  // namespace vaspace::test
