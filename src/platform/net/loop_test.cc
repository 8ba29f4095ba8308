#include "platform/net/loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <future>
#include <vector>

namespace hami::net {
namespace {

TEST(LoopTest, TasksRunInOrderOnTheLoopsThread) {
  Loop loop;
  std::vector<int> seen;
  for (int i = 0; i < 100; ++i) loop.Post([&, i] { seen.push_back(loop.OnThread() ? i : -1); });
  loop.RunSync([] {});
  ASSERT_EQ(seen.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(LoopTest, TimersRunInOrderOfTimeNotOfPosting) {
  Loop loop;
  std::promise<void> done;
  std::vector<int> seen;
  MonoTime start = loop.clock().Mono();
  loop.PostAt(start + std::chrono::milliseconds(30), [&] { seen.push_back(3), done.set_value(); });
  loop.PostAt(start + std::chrono::milliseconds(10), [&] { seen.push_back(1); });
  loop.PostAt(start + std::chrono::milliseconds(20), [&] { seen.push_back(2); });
  done.get_future().wait();
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
}

TEST(LoopTest, ACancelledTimerNeverRuns) {
  Loop loop;
  std::promise<void> later;
  bool ran = false;
  auto id = loop.PostAfter(std::chrono::milliseconds(20), [&] { ran = true; });
  loop.PostAfter(std::chrono::milliseconds(40), [&] { later.set_value(); });
  loop.Cancel(id);
  loop.Cancel(id);  // twice is harmless
  later.get_future().wait();
  EXPECT_FALSE(ran);
}

TEST(LoopTest, RunSyncRunsInlineOnTheLoopsThread) {
  Loop loop;
  int depth = 0;
  loop.RunSync([&] { loop.RunSync([&] { depth = 2; }); });
  EXPECT_EQ(depth, 2);
}

TEST(LoopTest, DestructionDropsWhatHasNotStarted) {
  auto held = std::make_shared<int>(1);
  {
    Loop loop;
    loop.PostAfter(std::chrono::hours(1), [held] {});
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(LoopTest, WaitForSignalReturnsTheSignal) {
  Loop loop;
  std::promise<int> got;
  std::thread waiter([&] { got.set_value(loop.WaitForSignal()); });
  // Until the handler stands the signal would end the process: ask the kernel.
  struct sigaction action {};
  do {
    sigaction(SIGTERM, nullptr, &action);
    std::this_thread::yield();
  } while (action.sa_handler == SIG_DFL);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(got.get_future().get(), SIGTERM);
  waiter.join();
}

}  // namespace
}  // namespace hami::net
