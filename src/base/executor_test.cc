#include "base/executor.h"

#include <gtest/gtest.h>

#include <future>

namespace hami {
namespace {

using namespace std::chrono_literals;

TEST(ThreadExecutor, KeepsOrderAndRunsTimers) {
  ThreadExecutor executor("test");
  std::vector<int> seen;
  std::promise<void> done;
  executor.PostAfter(5ms, [&] { done.set_value(); });
  for (int i = 0; i < 100; ++i) executor.Post([&, i] { seen.push_back(i); });
  done.get_future().wait();
  std::promise<void> after;
  executor.Post([&] { after.set_value(); });
  after.get_future().wait();
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(ThreadExecutor, CancelledTimerDoesNotRun) {
  ThreadExecutor executor("test");
  bool ran = false;
  auto id = executor.PostAfter(10ms, [&] { ran = true; });
  executor.Cancel(id);
  std::promise<void> done;
  executor.PostAfter(20ms, [&] { done.set_value(); });
  done.get_future().wait();
  EXPECT_FALSE(ran);
}

TEST(WorkerPool, RunsEverythingPosted) {
  std::atomic<int> count{0};
  std::promise<void> done;
  {
    WorkerPool pool("test", 3);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(pool.TryPost([&] {
        if (++count == 1000) done.set_value();
      }));
    }
    done.get_future().wait();
  }
  EXPECT_EQ(count, 1000);
}

TEST(ManualExecutor, TimeMovesTimerByTimer) {
  FakeClock clock;
  ManualExecutor executor(clock);
  std::vector<std::pair<int, int64_t>> seen;
  auto start = clock.Mono();
  auto at = [&](int n) { seen.emplace_back(n, (clock.Mono() - start) / 1s); };
  executor.PostAfter(2s, [&] {
    at(2);
    executor.PostAfter(1s, [&] { at(3); });
  });
  executor.PostAfter(1s, [&] { at(1); });
  executor.Advance(10s);
  EXPECT_EQ(seen, (std::vector<std::pair<int, int64_t>>{{1, 1}, {2, 2}, {3, 3}}));
  EXPECT_EQ(clock.Mono() - start, 10s);
}

}  // namespace
}  // namespace hami
