// T1: one thread gives up pages whose old addresses still linger while another claims those addresses: what
// an arena's threads do, without the arena.
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "cuda/stream_fixture.hpp"
#include "frontends/cuda/stream_pages.hpp"

namespace vaspace::test {
namespace {

#ifdef VASPACE_TEST_SANITIZED
constexpr int kTurns = 4'000;
#else
constexpr int kTurns = 40'000;
#endif

class LingeringThreads : public StreamTest {
 protected:
  static constexpr std::size_t kPlaces = 6;

  // Takes pages, binds them where nobody is, unbinds them, and gives up the page after its address, as the
  // arena does: somebody may bind there in between.
  void turn(cuda::StreamPages& pages, Address begin, std::uint64_t& state) {
    std::array<PhysicalId, 2> ids{};
    if (!pages.create_physical({page_, 0, {}}, ids)) return;
    std::vector<BindOp> bound;
    for (const PhysicalId id : ids) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const std::size_t place = (state >> 33U) % kPlaces;
      if (taken_[place].exchange(true)) continue;
      const BindOp op{.address = begin + page_ * place, .size = page_, .physical = id};
      if (pages.bind({&op, 1}, {})) {
        bound.push_back(op);
      } else {
        taken_[place] = false;  // its memory is used elsewhere
      }
    }
    for (BindOp& op : bound) {
      op.physical = {};
      EXPECT_TRUE(pages.bind({&op, 1}, {}));
      taken_[static_cast<std::size_t>((op.address - begin).value / page_.value)] = false;
    }
    EXPECT_TRUE(pages.destroy_physical(ids));
  }

  std::array<std::atomic<bool>, kPlaces> taken_{};
};

TEST_F(LingeringThreads, C13_T1_APageIsGivenUpWhileItsOldAddressIsClaimed) {
  start_streams("small_memory");
  const Address busy = allocate(2_MiB, a_);
  const cuda::Reclaimer nothing{nullptr, [](void*, const cuda::PageTaker*, std::size_t, bool) noexcept {}};
  cuda::PageStore store(*backend_, page_, nothing, default_host_allocator());
  cuda::StreamPages pages(*backend_, *backend_, store, a_, 0, default_host_allocator());
  const auto range = pages.reserve({page_ * kPlaces, {}, {}, 0});
  ASSERT_TRUE(range);
  DRIVER(vasim_cuda_hold_streams)(1);
  work_on(busy, 2_MiB, a_);
  pages.freed();
  {
    const cuda::StreamPages::Stealing stealing(pages);
    std::vector<std::thread> threads;
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
      threads.emplace_back([&, state = seed]() mutable {
        for (int i = 0; i < kTurns; ++i)
          turn(pages, range->address, state);
      });
    }
    for (std::thread& thread : threads)
      thread.join();
  }
  DRIVER(vasim_cuda_hold_streams)(0);
  ASSERT_TRUE(backend_->wait_for(a_));
  EXPECT_TRUE(pages.reap());
  EXPECT_FALSE(pages.lingers());
  EXPECT_EQ(pages.own(), 0U);
  EXPECT_EQ(store.idle(), store.held()) << "none is lost, none is there twice";
  EXPECT_TRUE(pages.release(*range));
}

}  // namespace
}  // namespace vaspace::test
