// Spec B3, C4: contexts count before they exist, with what they take, in every process.
#include <gtest/gtest.h>

#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

unsigned Contexts(Container& container, unsigned device) {
  unsigned count = 0;
  for (const HamiExtSlot& slot : container.region().ext.slots) count += slot.contexts[device];
  return count;
}

TEST(FirstContextTest, ItIsRefusedWhenItCannotFitAndNothingIsLeftBehind) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "200m"}});
  auto probe = container.Start();
  EXPECT_EQ(probe->Code("init"), 0);
  EXPECT_EQ(probe->Code("ctx"), 2);
  EXPECT_EQ(container.Used(0), 0u);
  EXPECT_EQ(container.CardUsed(0), 0u);
  EXPECT_EQ(probe->Code("ctx"), 2);
}

TEST(FirstContextTest, ItsSizeIsLearnedForTheContainer) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}});
  auto first = container.Start();
  first->Begin();
  EXPECT_EQ(container.region().ext.header.devices[0].context_size, kContext);
  auto second = container.Start();
  second->Begin();
  EXPECT_EQ(container.Used(0), 2 * kContext);
  auto third = container.Start();
  EXPECT_EQ(third->Code("init"), 0);
  EXPECT_EQ(third->Code("ctx"), 2);
  EXPECT_EQ(container.CardPeak(0), 2 * kContext);
}

// NVML shows newcomers of all of them at the same time.
TEST(FirstContextTest, ProcessesThatStartTogetherAreChargedWhatTheirContextsTake) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "4096m"}});
  std::vector<std::unique_ptr<Probe>> probes;
  for (int i = 0; i < 5; ++i) probes.push_back(container.Start());
  for (auto& probe : probes) EXPECT_EQ(probe->Code("init"), 0);
  for (auto& probe : probes) probe->Send("ctx");
  for (auto& probe : probes) EXPECT_EQ(probe->Receive(), "0");
  EXPECT_EQ(container.Used(0), 5 * kContext);
  EXPECT_EQ(container.CardUsed(0), 5 * kContext);
  EXPECT_EQ(Contexts(container, 0), 5u);
}

// The same where NVML's pids mean nothing: what was booked as an estimate is corrected when a
// request needs the room.
TEST(FirstContextTest, EstimatesAreCorrectedOnceTheSizeIsKnown) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "4096m"}});
  std::vector<std::unique_ptr<Probe>> probes;
  for (int i = 0; i < 4; ++i) probes.push_back(container.Start({{"PROBE_UNSHARE", "1"}}));
  if (probes[0]->Ask("pid") != "1") GTEST_SKIP() << "no right to make a pid namespace";
  for (auto& probe : probes) EXPECT_EQ(probe->Code("init"), 0);
  for (auto& probe : probes) probe->Send("ctx");
  for (auto& probe : probes) EXPECT_EQ(probe->Receive(), "0");
  EXPECT_GE(container.Used(0), 4 * kContext);
  auto outside = container.Start();
  outside->Begin();  // NVML tells this one's size
  EXPECT_EQ(container.region().ext.header.devices[0].context_size, kContext);
  for (auto& probe : probes) EXPECT_EQ(probe->Code("alloc " + Text(uint64_t{1} << 40)), 2);
  EXPECT_EQ(container.Used(0), 5 * kContext);
  EXPECT_EQ(container.CardUsed(0), 5 * kContext);
}

TEST(ContextTest, AHandleThatComesBackIsAnotherContext) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "2048m"}});
  auto probe = container.Start();
  EXPECT_EQ(probe->Code("init"), 0);
  EXPECT_EQ(probe->Ask("ctxstress 250 4"), "0");
  EXPECT_EQ(container.Used(0), container.CardUsed(0));
  EXPECT_EQ(Contexts(container, 0), 0u);
  EXPECT_LE(container.CardPeak(0), 2048 * kMi);
  EXPECT_EQ(container.region().ext.header.saturated, 0u);
}

TEST(ContextTest, TheyAreCountedPerCard) {
  Container container;
  auto probe = container.Start();
  probe->Begin(1);
  const std::string second = Text(probe->Value("newctx 1"));
  EXPECT_EQ(Contexts(container, 1), 2u);
  EXPECT_EQ(Contexts(container, 0), 0u);
  EXPECT_EQ(probe->Code("endctx " + second), 0);
  EXPECT_EQ(probe->Code("release 1"), 0);
  EXPECT_EQ(Contexts(container, 1), 0u);
}

// Escape of B3: the heap of device code is not accounted.
TEST(ContextTest, EscapeHeap_WhatAProgramAsksForBeyondTheDefaultIsCharged) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}});
  auto probe = container.Start();
  probe->Begin();
  EXPECT_EQ(probe->Code("setlimit 2 " + Text(512 * kMi)), 2);
  EXPECT_EQ(probe->Code("setlimit 2 " + Text(108 * kMi)), 0);  // 8 MiB are there anyway
  EXPECT_EQ(container.Used(0), kContext + 100 * kMi);
  EXPECT_EQ(probe->Code("setlimit 1 " + Text(11 * kMi)), 0);  // printf buffer: 1 MiB
  EXPECT_EQ(container.Used(0), kContext + 110 * kMi);
  EXPECT_EQ(probe->Code("setlimit 0 4096"), 0);  // stacks: taken by launches
  EXPECT_EQ(probe->Code("setlimit 2 " + Text(58 * kMi)), 0);
  EXPECT_EQ(container.Used(0), kContext + 60 * kMi);
  EXPECT_EQ(probe->Code("setlimit 99 1"), 1);
  EXPECT_EQ(probe->Code("release 0"), 0);
  EXPECT_EQ(container.Used(0), 0u);
}

// Spec issue 4, item 2: what a process holds, by kind.
TEST(ContextTest, TheRegionShowsWhatAProcessHoldsByKind) {
  Container container;
  auto probe = container.Start();
  probe->Begin();
  probe->Value("alloc " + Text(3 * kMi));
  probe->Value("managed " + Text(4 * kMi));
  probe->Value("async " + Text(6 * kMi));
  probe->Value("create " + Text(10 * kMi));
  const uint64_t(&bytes)[HAMI_KINDS] = container.region().ext.slots[0].device[0].bytes;
  EXPECT_EQ(bytes[HAMI_KIND_CONTEXT], kContext);
  EXPECT_EQ(bytes[HAMI_KIND_DATA], 3 * kMi);
  EXPECT_EQ(bytes[HAMI_KIND_MANAGED], 4 * kMi);
  EXPECT_EQ(bytes[HAMI_KIND_POOL], 6 * kMi);
  EXPECT_EQ(bytes[HAMI_KIND_VMM], 10 * kMi);
  EXPECT_EQ(container.Used(0), container.CardUsed(0));
}

}  // namespace
}  // namespace hami::limiter::testing
