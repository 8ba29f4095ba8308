// Spec D2.10, A5: what a monitor asks of a container, and what it is shown. Launches of every kind,
// of limited and unlimited containers; the monitor is the test.
#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "tests/limiter/load.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

class FeedbackTest : public LaunchingTest {};

class EveryBlocked : public FeedbackTest, public ::testing::WithParamInterface<const char*> {};

// User complaint 132: low priority is not held back; containers without a core limit never were.
TEST_P(EveryBlocked, LaunchStandsWhileTheMonitorSaysSo) {
  for (const bool limited : {false, true}) {
    Container box(limited ? Force(50) : Variables{});
    Program program = Load(box, "100", GetParam());
    AwaitLaunch(program);
    Monitor monitor(box);
    monitor.SetRecent(-1);
    usleep(50'000);
    EXPECT_TRUE(Stands(program)) << GetParam() << (limited ? " limited" : "");
    EXPECT_EQ(monitor.recent(), -1) << "never overwritten by us";
    monitor.SetRecent(0);
    AwaitLaunch(program);
    EXPECT_EQ(monitor.recent(), 2);
  }
}
INSTANTIATE_TEST_SUITE_P(Kinds, EveryBlocked,
                         ::testing::Values("sync", "ptsz", "cooperative", "cooperative_ptsz",
                                           "multi", "ex", "ex_ptsz", "old", "old_grid", "old_async",
                                           "threads", "graph", "graph_ptsz"));

TEST_F(FeedbackTest, AMonitorThatDiedHoldsNobodyBackUntilItIsBack) {
  for (const bool limited : {false, true}) {
    Container box(limited ? Force(50) : Variables{});
    Program program = Load(box, "100", "sync");
    AwaitLaunch(program);
    Monitor monitor(box);
    monitor.Heartbeat(BootNs());
    monitor.SetRecent(-1);
    usleep(50'000);
    EXPECT_TRUE(Stands(program));
    monitor.Heartbeat(BootNs() - 11'000'000'000u);
    AwaitLaunch(program);
    EXPECT_EQ(monitor.recent(), -1);
    monitor.Heartbeat(BootNs());
    usleep(50'000);
    EXPECT_TRUE(Stands(program));
  }
}

// The complaint's other half: a container without a core limit, or whose limit is switched off, was
// never seen as active, so that nobody was held back for it.
TEST_F(FeedbackTest, EveryContainerThatLaunchesShowsAsActive) {
  Variables off = {{"CUDA_DEVICE_SM_LIMIT", "20"}};
  Variables never = off;
  never["GPU_CORE_UTILIZATION_POLICY"] = "disable";
  for (const Variables& variables : {Variables{}, off, never, Force(50)}) {
    Container box(variables);
    Program program = Load(box, "100", "sync");
    AwaitLaunch(program);
    Monitor monitor(box);
    monitor.SetSwitch(0);
    for (const int32_t aged : {1, 0}) {
      monitor.SetRecent(aged);
      while (monitor.recent() != 2) usleep(1000);
    }
    monitor.SetRecent(-1);
    usleep(50'000);
    EXPECT_TRUE(Stands(program));
  }
}

TEST_F(FeedbackTest, AnOperatorSuspendsAndResumesAProcess) {
  Container box;
  Program program = Load(box, "100", "sync"), other = Load(box, "100", "sync");
  AwaitLaunch(program);
  Monitor monitor(box);
  const int slot = box.region().v1.procs[0].pid == program->pid() ? 0 : 1;
  monitor.SetStatus(slot, HAMI_V1_SUSPENDED);
  usleep(50'000);
  EXPECT_TRUE(Stands(program));
  AwaitLaunch(other);
  monitor.SetStatus(slot, HAMI_V1_RUNNING);
  AwaitLaunch(program);
}

TEST_F(FeedbackTest, TheMonitorSeesWhoLaunchesAndWhen) {
  Container box;
  Program program = Load(box, "100", "sync");
  AwaitLaunch(program);
  Monitor monitor(box);
  std::atomic_ref(box.region().v1.last_kernel_time).store(1000);
  for (const int32_t aged : {1, 0}) {
    monitor.SetRecent(aged);
    while (monitor.recent() != 2) usleep(1000);
  }
  while (std::atomic_ref(box.region().v1.last_kernel_time).load() == 1000) usleep(1000);
  EXPECT_NEAR(static_cast<double>(std::atomic_ref(box.region().v1.last_kernel_time).load()),
              static_cast<double>(time(nullptr)), 2);
}

class StampTest : public FeedbackTest {
 protected:
  static std::atomic_ref<uint64_t> Stamp(Container& box) {
    return std::atomic_ref(box.region().v1.last_kernel_time);
  }
  static uint64_t Now() { return static_cast<uint64_t>(time(nullptr)); }
};

// Under a limit the monitor's tick is not needed: the helper thread stamps.
TEST_F(StampTest, ALimitedContainerStampsItsLaunchesEachSecond) {
  Container box(Force(50));
  Program program = Load(box, "100", "sync");
  AwaitLaunch(program);
  for (int round = 0; round < 2; ++round) {
    Stamp(box).store(1000);
    while (Stamp(box).load() == 1000) usleep(10'000);
    EXPECT_NEAR(static_cast<double>(Stamp(box).load()), static_cast<double>(Now()), 2);
  }
}

TEST_F(StampTest, TheIntervalOfTheEnvironmentIsKept) {
  Container box(Variables{{"RECORD_KERNEL_INTERVAL", "1000"}});
  Program program = Load(box, "100", "sync");
  AwaitLaunch(program);
  Monitor monitor(box);
  const auto tick = [&] {
    monitor.SetRecent(0);
    while (monitor.recent() != 2) usleep(1000);
    AwaitLaunch(program);
    AwaitLaunch(program);
  };
  const uint64_t recent = Now() - 500, old = Now() - 2000;
  Stamp(box).store(recent);
  tick();
  EXPECT_EQ(Stamp(box).load(), recent);
  Stamp(box).store(old);
  tick();
  EXPECT_GE(Stamp(box).load(), old + 2000);
}

TEST_F(StampTest, OnlyLaunchesCount) {
  Container box;
  auto program = box.Start();
  program->Begin();
  Monitor monitor(box);
  Stamp(box).store(1000);
  monitor.SetRecent(0);
  EXPECT_EQ(program->Ask("copymem"), "0");
  EXPECT_EQ(Stamp(box).load(), 1000u);
  EXPECT_EQ(monitor.recent(), 0);
  EXPECT_EQ(program->Code("busy 5000"), 0);
  EXPECT_NE(Stamp(box).load(), 1000u);
  EXPECT_EQ(monitor.recent(), 2);
}

// The arbitration of the reference's monitor, by spec A5: what it sees of the containers, and what
// it makes of that, every time it ticks.
class Arbiter {
 public:
  void Add(Container& container) { regions_.push_back(&container.region().v1); }
  void Tick() {
    std::map<std::string, std::vector<int>> active;
    for (HamiV1Region* region : regions_) Age(*region, active);
    for (HamiV1Region* region : regions_) {
      const bool blocked = Blocked(*region, active);
      std::atomic_ref recent(region->recent_kernel);
      if (blocked && recent.load() >= 0) recent.store(-1);
      if (!blocked && recent.load() < 0) recent.store(0);
    }
  }

 private:
  using Active = std::map<std::string, std::vector<int>>;

  static std::vector<std::string> Cards(const HamiV1Region& region) {
    std::vector<std::string> cards;
    for (const auto& uuid : region.uuids) {
      if (uuid[0] != '\0') cards.emplace_back(uuid, sizeof uuid);
    }
    return cards;
  }
  static void Age(HamiV1Region& region, Active& active) {
    std::atomic_ref word(region.recent_kernel);
    const int32_t recent = word.load();
    if (recent <= 0) return;
    if (recent > 1) {
      const auto priority = static_cast<size_t>(region.priority);
      for (const std::string& card : Cards(region)) {
        if (active[card].size() <= priority) active[card].resize(priority + 1);
        ++active[card][priority];
      }
    }
    word.store(recent - 1);
  }
  static bool Blocked(const HamiV1Region& region, Active& active) {
    for (const std::string& card : Cards(region)) {
      for (size_t p = 0; p < active[card].size() && p < static_cast<size_t>(region.priority); ++p) {
        if (active[card][p] > 0) return true;
      }
    }
    return false;
  }

  std::vector<HamiV1Region*> regions_;
};

struct Ranked {
  Ranked(int priority, const std::string& state)
      : box(Variables{{"CUDA_TASK_PRIORITY", std::to_string(priority)}, {"FAKEGPU_STATE", state}}) {
  }
  Container box;
  std::unique_ptr<Probe> program;
};

// More than the two levels that the reference documents.
TEST_F(FeedbackTest, OfFourPrioritiesTheHighestThatLaunchesHoldsAllOthersBack) {
  Container card;
  std::vector<std::unique_ptr<Ranked>> ranks;
  Arbiter arbiter;
  for (const int priority : {0, 1, 2, 5}) {
    ranks.push_back(std::make_unique<Ranked>(priority, card.folder() + "/state"));
    ranks.back()->program = Load(ranks.back()->box, "100", "sync");
    AwaitLaunch(ranks.back()->program);
    EXPECT_EQ(ranks.back()->box.region().v1.priority, priority);
    arbiter.Add(ranks.back()->box);
  }
  for (size_t first = 0; first < ranks.size(); ++first) {
    for (size_t i = first; i < ranks.size(); ++i) AwaitLaunch(ranks[i]->program);
    arbiter.Tick();
    usleep(50'000);
    AwaitLaunch(ranks[first]->program);
    for (size_t i = first + 1; i < ranks.size(); ++i) {
      EXPECT_TRUE(Stands(ranks[i]->program)) << "priority " << i << " behind " << first;
    }
    ranks[first]->program.reset();
    arbiter.Tick();  // it was active until a moment ago
    arbiter.Tick();  // nobody is: all may try
  }
}

}  // namespace
}  // namespace hami::limiter::testing
