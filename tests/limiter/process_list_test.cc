// Spec A3: NVML lists the container's processes, under its own pids, and nobody else's.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

std::string Entry(const Probe& probe, uint64_t bytes) {
  return " " + std::to_string(probe.pid()) + ":" + Text(bytes);
}

class ProcessListTest : public ::testing::Test {
 protected:
  // All three forms must agree.
  std::string Compute(Probe& watcher, const std::string& room = "16") {
    const std::string list = "nvmlDeviceGetComputeRunningProcesses";
    const std::string oldest = watcher.Ask("nvmlprocs 0 " + list + " " + room);
    EXPECT_EQ(watcher.Ask("nvmlprocs 0 " + list + "_v2 " + room), oldest);
    EXPECT_EQ(watcher.Ask("nvmlprocs 0 " + list + "_v3 " + room), oldest);
    return oldest;
  }
  HamiExtSlot& SlotOf(const Probe& probe) {
    for (HamiExtSlot& slot : container_.region().ext.slots) {
      if (slot.pid == probe.pid()) return slot;
    }
    ADD_FAILURE() << "no slot of " << probe.pid();
    return container_.region().ext.slots[0];
  }

  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}}};
};

TEST_F(ProcessListTest, TheContainersOwnAreListed) {
  auto watcher = container_.Start();
  EXPECT_EQ(Compute(*watcher), "0 0");
  auto first = container_.Start();
  first->Begin();
  first->Value("alloc " + Text(100 * kMi));
  EXPECT_EQ(Compute(*watcher), "0 1" + Entry(*first, kContext + 100 * kMi));
  auto second = container_.Start();
  second->Begin(1);  // on another card
  EXPECT_EQ(Compute(*watcher), "0 1" + Entry(*first, kContext + 100 * kMi));
  EXPECT_EQ(watcher->Ask("nvmlprocs 1 nvmlDeviceGetComputeRunningProcesses_v3 16"),
            "0 1" + Entry(*second, kContext));
}

TEST_F(ProcessListTest, ListsThatAreAboutSomethingElseStayEmpty) {
  auto probe = container_.Start();
  probe->Begin();
  for (const char* kind : {"Graphics", "MPSCompute"}) {
    for (const char* version : {"", "_v2", "_v3"}) {
      const std::string name = std::string("nvmlDeviceGet") + kind + "RunningProcesses" + version;
      EXPECT_EQ(probe->Ask("nvmlprocs 0 " + name + " 16"), "0 0") << name;
    }
  }
}

TEST_F(ProcessListTest, NeighboursOnTheSameCardAreNotShown) {
  Container neighbours(Variables{{"FAKEGPU_STATE", container_.folder() + "/state"}});
  auto neighbour = neighbours.Start();
  neighbour->Begin();
  auto bare = neighbours.StartBare();
  bare->Begin();
  auto own = container_.Start();
  own->Begin();
  EXPECT_EQ(Compute(*own), "0 1" + Entry(*own, kContext));
  EXPECT_EQ(Compute(*bare).substr(0, 3), "0 3");
}

TEST_F(ProcessListTest, AHostPidIsShownAsTheContainersPid) {
  auto probe = container_.Start();
  probe->Begin();
  auto watcher = container_.Start();
  Compute(*watcher);
  HamiExtSlot& slot = SlotOf(*probe);
  slot.host_pid = probe->pid();  // as NVML numbers it
  slot.pid = 4242;               // as the container does
  EXPECT_EQ(Compute(*watcher), "0 1 4242:" + Text(kContext));
}

TEST_F(ProcessListTest, WithoutAHostPidTheProcesssOwnAccountIsShown) {
  auto probe = container_.Start();
  probe->Begin();
  auto watcher = container_.Start();
  Compute(*watcher);
  HamiExtSlot& slot = SlotOf(*probe);
  slot.host_pid = 0;
  slot.pid = 4242;
  slot.device[0].bytes[HAMI_KIND_DATA] += 5;  // not in NVML's figure
  EXPECT_EQ(Compute(*watcher), "0 1 4242:" + Text(kContext + 5));
}

TEST_F(ProcessListTest, AProcessInAPidNamespaceOfItsOwnSeesItself) {
  auto inside = container_.Start({{"PROBE_UNSHARE", "1"}});
  if (inside->Ask("pid") != "1") GTEST_SKIP() << "no right to make a pid namespace";
  inside->Begin();
  // Its /proc is the outer one, so it knows no namespace of itself: its own account is what it has.
  EXPECT_EQ(Compute(*inside), "0 1 1:" + Text(kContext));
  auto outside = container_.Start();
  EXPECT_EQ(Compute(*outside), "0 0");  // pid 1 would be somebody else here
}

TEST_F(ProcessListTest, RawIsWhatNvmlSays) {
  Container neighbours(Variables{{"FAKEGPU_STATE", container_.folder() + "/state"}});
  auto neighbour = neighbours.Start();
  neighbour->Begin();
  auto own = container_.Start({{"HAMI_NVML_PROCESSES", "raw"}});
  own->Begin();
  auto bare = container_.StartBare();
  EXPECT_EQ(Compute(*own), Compute(*bare));
  EXPECT_EQ(Compute(*own).substr(0, 3), "0 2");
}

TEST_F(ProcessListTest, ACallerWithoutRoomIsToldHowMuchItNeeds) {
  auto first = container_.Start();
  first->Begin();
  auto second = container_.Start();
  second->Begin();
  EXPECT_EQ(Compute(*first, "0"), "7 2");
  EXPECT_EQ(Compute(*first, "1"), "7 2");
  EXPECT_EQ(Compute(*first, "2").substr(0, 3), "0 2");
  auto bare = container_.StartBare();
  EXPECT_EQ(Compute(*bare, "0"), "7 2");  // as NVML does
}

TEST_F(ProcessListTest, NoLimitIsNoReasonToShowNeighbours) {
  Container unlimited(Variables{{"FAKEGPU_STATE", container_.folder() + "/state"}});
  auto neighbour = container_.Start();
  neighbour->Begin();
  auto own = unlimited.Start();
  own->Begin();
  EXPECT_EQ(Compute(*own), "0 1" + Entry(*own, kContext));
}

TEST_F(ProcessListTest, SamplesOfUseAreTheContainersOwn) {
  Container neighbours(Variables{{"FAKEGPU_STATE", container_.folder() + "/state"}});
  auto neighbour = neighbours.Start();
  auto own = container_.Start();
  auto bare = container_.StartBare();
  neighbour->Begin();
  own->Begin();
  std::string before, shown, after;
  do {  // until NVML shows both at work before and after
    for (Probe* probe : {neighbour.get(), own.get()}) {  // never ahead of the card's time
      EXPECT_EQ(probe->Code("busy 20000000"), 0);
      EXPECT_EQ(probe->Code("sync"), 0);
    }
    before = bare->Ask("nvmlutil 0");
    shown = own->Ask("nvmlutil 0");
    after = bare->Ask("nvmlutil 0");
  } while (before.substr(0, 4) != "0 2 " || after.substr(0, 4) != "0 2 ");
  EXPECT_EQ(shown.substr(0, shown.find(':')), "0 1 " + std::to_string(own->pid()));
  HamiExtSlot& slot = SlotOf(*own);
  slot.host_pid = 0;  // then it is what the process has published itself
  EXPECT_EQ(own->Code("nvmlutil 0"), 6);
  container_.region().v1.procs[&slot - container_.region().ext.slots].device_util[0].sm_util = 37;
  EXPECT_EQ(own->Ask("nvmlutil 0"), "0 1 " + std::to_string(own->pid()) + ":37");
}

// nvitop and others look for hours: what was killed must go without anybody starting or allocating.
TEST_F(ProcessListTest, AWatcherSeesTheMemoryOfTheKilledGo) {
  auto watcher = container_.Start();
  auto probe = container_.Start();
  probe->Begin();
  probe->Value("alloc " + Text(1000 * kMi));
  const std::string with = "0 " + Text(3000 * kMi) + " " + Text(2000 * kMi - kContext) + " " +
                           Text(1000 * kMi + kContext);
  const std::string without = "0 " + Text(3000 * kMi) + " " + Text(3000 * kMi) + " 0";
  EXPECT_EQ(watcher->Ask("nvmlmem 0"), with);
  probe->Kill();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (watcher->Ask("nvmlmemagain 0") != without && std::chrono::steady_clock::now() < until) {
  }
  EXPECT_EQ(watcher->Ask("nvmlmemagain 0"), without);
  EXPECT_EQ(Compute(*watcher), "0 0");
}

}  // namespace
}  // namespace hami::limiter::testing
