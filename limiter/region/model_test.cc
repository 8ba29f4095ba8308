// Every interleaving, at every access to a shared word, of processes that allocate and free, die at
// any point, and reap. The real code runs (account.h, slots.h); only the scheduler is ours.
//
// A state is what the words hold and what each actor has read so far, which determines where it
// stands; a state that was seen before is not explored again.
#include <gtest/gtest.h>
#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "limiter/region/slots.h"

namespace hami::limiter::region {
namespace {

constexpr size_t kStackSize = 256 * 1024;

struct Actor {
  ucontext_t context;
  std::function<void()> body;
  bool finished = false;
  bool dead = false;
  uint64_t history = 14695981039346656037u;
  const void* next = nullptr;  // word that it is about to access
};

// The actors of one run and the words that matter to them.
struct Run {
  HamiRegion* region = nullptr;
  std::vector<Actor> actors;
  std::unordered_set<const void*> shared;
  ucontext_t scheduler;
  int running = -1;
};
Run* run = nullptr;

uint64_t ValueAt(const void* word) {
  uint64_t value = 0;
  memcpy(&value, word, 4);
  const auto at = reinterpret_cast<uintptr_t>(word);
  if (at % 8 == 0) memcpy(&value, word, 8);
  return value;
}

struct ModelStep {
  static void At(const void* word) {
    if (run->running < 0 || run->shared.count(word) == 0) return;
    Actor& actor = run->actors[static_cast<size_t>(run->running)];
    actor.next = word;
    swapcontext(&actor.context, &run->scheduler);
    actor.history = (actor.history ^ ValueAt(word)) * 1099511628211u;
    const auto base = reinterpret_cast<uintptr_t>(run->region);
    actor.history = (actor.history ^ (reinterpret_cast<uintptr_t>(word) - base)) * 1099511628211u;
  }
};
using Model = Account<ModelStep>;

void Entry() {
  Actor& actor = run->actors[static_cast<size_t>(run->running)];
  actor.body();
  actor.finished = true;
  swapcontext(&actor.context, &run->scheduler);
}

// What the driver knows: bytes that living processes really hold.
struct Truth {
  uint64_t held[3] = {};
};

constexpr uint64_t kLimit = 3;

struct Scenario {
  // Fills run->actors; bodies act on `truth`.
  std::function<void(Truth&)> set_up;
  int mortal_count;  // the first actors may be killed
};

Model::Words WordsOf(unsigned slot) {
  HamiExtSlot& ext = run->region->ext.slots[slot];
  return {&run->region->ext.header, &run->region->ext.header.devices[0], &ext.device[0],
          &ext.pending[0], &run->region->v1.procs[slot].used[0]};
}

void RepairNow() { Model::Repair(*run->region, 0); }

// A process that allocates, and repairs before it gives up when `repairs`.
void Allocate(unsigned slot, uint64_t bytes, Truth& truth, bool repairs = false) {
  const auto words = WordsOf(slot);
  bool granted = Model::Begin(words, bytes, kLimit);
  if (!granted && repairs) {
    RepairNow();
    granted = Model::Begin(words, bytes, kLimit);
  }
  if (!granted) return;
  truth.held[slot] += bytes;  // the driver's call
  Model::Commit(words, HAMI_KIND_DATA, bytes, bytes);
}

// A process that starts: takes slot 1, as Slots::TryClaim does under the slot's byte.
void Claim() {
  HamiExtSlot& slot = run->region->ext.slots[1];
  Model::StoreState(slot, HAMI_SLOT_CLAIMING);
  ModelStep::At(&run->region->v1.proc_num);
  run->region->v1.proc_num = 2;
  Model::StoreState(slot, HAMI_SLOT_LIVE);
}

void Free(unsigned slot, uint64_t bytes, Truth& truth) {
  truth.held[slot] -= bytes;  // the driver's call
  Model::Release(WordsOf(slot), HAMI_KIND_DATA, bytes);
}

// Before the actors start: the slot holds memory.
void Holds(unsigned slot, uint64_t bytes, Truth& truth) {
  Account<>::Begin({&run->region->ext.header, &run->region->ext.header.devices[0],
                    &run->region->ext.slots[slot].device[0],
                    &run->region->ext.slots[slot].pending[0], &run->region->v1.procs[slot].used[0]},
                   bytes, 0);
  run->region->ext.slots[slot].pending[0] = 0;
  run->region->ext.slots[slot].device[0].bytes[HAMI_KIND_DATA] = bytes;
  truth.held[slot] = bytes;
}

// Reaps the slots of dead owners. The byte's lock excludes other reapers.
void Reap() {
  for (unsigned i = 0; i < 2; ++i) {
    HamiExtSlot& slot = run->region->ext.slots[i];
    if (!run->actors[i].dead || Model::LoadState(slot) == HAMI_SLOT_FREE) continue;
    ClearSlot<ModelStep>(slot, run->region->v1.procs[i]);
  }
  RepairNow();
}

class Explorer {
 public:
  explicit Explorer(const Scenario& scenario) : scenario_(scenario) {}

  void Explore() {
    std::vector<int> path;
    Descend(path);
  }
  size_t states() const { return seen_.size(); }
  size_t ends() const { return ends_; }

 private:
  // A choice: 0.. = let that actor take one step; 100.. = kill that actor.
  static constexpr int kKill = 100;

  void Begin() {
    run_ = std::make_unique<Run>();
    run = run_.get();
    truth_ = {};
    run->region = region_.get();
    run->region->ext.header = {};
    for (unsigned i = 0; i < 2; ++i) {
      HamiExtSlot& slot = run->region->ext.slots[i];
      slot = {};
      run->region->v1.procs[i] = {};
      slot.state = HAMI_SLOT_LIVE;
      run->shared.insert(&slot.state);
      run->shared.insert(&slot.pending[0]);
      run->shared.insert(&slot.device[0].bytes[HAMI_KIND_DATA]);
    }
    run->shared.insert(&run->region->ext.header.devices[0].used_total);
    run->shared.insert(&run->region->v1.proc_num);
    run->region->v1.proc_num = 2;
    scenario_.set_up(truth_);
    for (size_t i = 0; i < run->actors.size(); ++i) {
      Actor& actor = run->actors[i];
      if (stacks_.size() <= i) stacks_.push_back(std::make_unique<char[]>(kStackSize));
      getcontext(&actor.context);
      actor.context.uc_stack.ss_sp = stacks_[i].get();
      actor.context.uc_stack.ss_size = kStackSize;
      actor.context.uc_link = nullptr;
      makecontext(&actor.context, &Entry, 0);
    }
  }

  void Apply(int choice) {
    if (choice >= kKill) {
      const auto victim = static_cast<size_t>(choice - kKill);
      run->actors[victim].dead = true;
      if (victim < 2) truth_.held[victim] = 0;  // the driver frees at once
      return;
    }
    run->running = choice;
    swapcontext(&run->scheduler, &run->actors[static_cast<size_t>(choice)].context);
    run->running = -1;
  }

  void Replay(const std::vector<int>& path) {
    Begin();
    for (const int choice : path) Apply(choice);
  }

  std::string Key() const {
    std::string key;
    const auto add = [&](uint64_t value) { key.append(reinterpret_cast<char*>(&value), 8); };
    add(run->region->ext.header.devices[0].used_total);
    add(static_cast<uint64_t>(run->region->v1.proc_num));
    for (unsigned i = 0; i < 2; ++i) {
      const HamiExtSlot& slot = run->region->ext.slots[i];
      add(slot.state);
      add(slot.pending[0]);
      add(slot.device[0].bytes[HAMI_KIND_DATA]);
    }
    const auto base = reinterpret_cast<uintptr_t>(run->region);
    for (const Actor& actor : run->actors) {
      add(actor.history);
      add(actor.next == nullptr ? 0 : reinterpret_cast<uintptr_t>(actor.next) - base);
      add(static_cast<uint64_t>(actor.finished) * 2 + actor.dead);
    }
    return key;
  }

  uint64_t Total() const { return BytesOf(run->region->ext.header.devices[0].used_total); }

  void Check(const std::vector<int>& path) {
    const uint64_t held = truth_.held[0] + truth_.held[1];
    if (Total() >= held && Total() <= kLimit) return;
    std::string text;
    for (const int choice : path) text += std::to_string(choice) + " ";
    FAIL() << "total " << Total() << ", held " << held << ", limit " << kLimit << " after " << text;
  }

  // Everybody has finished or died: one more look repairs what is left, exactly.
  void CheckEnd(const std::vector<int>& path) {
    ++ends_;
    run->running = -1;
    Reap();
    RepairNow();
    const uint64_t held = truth_.held[0] + truth_.held[1];
    std::string text;
    for (const int choice : path) text += std::to_string(choice) + " ";
    ASSERT_EQ(Total(), held) << "after " << text;
  }

  void Descend(std::vector<int>& path) {
    Replay(path);
    Check(path);
    if (::testing::Test::HasFailure() || !seen_.insert(Key()).second) return;
    std::vector<int> choices;
    for (size_t i = 0; i < run->actors.size(); ++i) {
      const Actor& actor = run->actors[i];
      if (actor.finished || actor.dead) continue;
      choices.push_back(static_cast<int>(i));
      if (static_cast<int>(i) < scenario_.mortal_count)
        choices.push_back(kKill + static_cast<int>(i));
    }
    if (choices.empty()) return CheckEnd(path);
    for (const int choice : choices) {
      path.push_back(choice);
      Descend(path);
      path.pop_back();
      if (::testing::Test::HasFailure()) return;
    }
  }

  const Scenario& scenario_;
  std::unique_ptr<HamiRegion> region_ = std::make_unique<HamiRegion>();
  std::vector<std::unique_ptr<char[]>> stacks_;
  std::unique_ptr<Run> run_;
  Truth truth_;
  std::unordered_set<std::string> seen_;
  size_t ends_ = 0;
};

void AddActor(std::function<void()> body) {
  run->actors.emplace_back();
  run->actors.back().body = std::move(body);
}

void ExploreAll(const Scenario& scenario) {
  Explorer explorer(scenario);
  explorer.Explore();
  EXPECT_GT(explorer.states(), 100u);
  EXPECT_GT(explorer.ends(), 0u);
  ::testing::Test::RecordProperty("states", static_cast<int>(explorer.states()));
}

TEST(AccountModelTest, OneAllocatesAndDiesWhileAnotherAllocatesAndAThirdReaps) {
  ExploreAll({[](Truth& truth) {
                AddActor([&truth] { Allocate(0, 2, truth); });
                AddActor([&truth] { Allocate(1, 2, truth); });
                AddActor([] { Reap(); });
              },
              1});
}

TEST(AccountModelTest, OneFreesAndDiesWhileAnotherAllocatesAndAThirdReaps) {
  ExploreAll({[](Truth& truth) {
                Holds(0, 2, truth);
                AddActor([&truth] { Free(0, 2, truth); });
                AddActor([&truth] { Allocate(1, 2, truth); });
                AddActor([] { Reap(); });
              },
              1});
}

TEST(AccountModelTest, OneAllocatesAnotherFreesAndDiesAndAThirdReaps) {
  ExploreAll({[](Truth& truth) {
                Holds(1, 2, truth);
                AddActor([&truth] { Allocate(0, 2, truth); });
                AddActor([&truth] { Free(1, 2, truth); });
                AddActor([] { Reap(); });
              },
              2});
}

TEST(AccountModelTest, OneRepairsBeforeItGivesUpWhileTheDeadOneIsReaped) {
  ExploreAll({[](Truth& truth) {
                Holds(0, 2, truth);
                AddActor([] {});
                AddActor([&truth] { Allocate(1, 2, truth, true); });
                AddActor([] { Reap(); });
              },
              1});
}

// Found by killing at random: the number of slots was read before the total.
TEST(AccountModelTest, ANewcomerIsNotForgottenByARepair) {
  ExploreAll({[](Truth& truth) {
                Holds(0, 2, truth);
                run->region->ext.slots[1].state = HAMI_SLOT_FREE;
                run->region->v1.proc_num = 1;
                AddActor([] {});
                AddActor([&truth] {
                  Claim();
                  Allocate(1, 1, truth);
                });
                AddActor([] { Reap(); });
              },
              1});
}

TEST(AccountModelTest, AReaperThatDiesAnywhereLeavesNothingThatTheNextCannotRepair) {
  ExploreAll({[](Truth& truth) {
                Holds(0, 2, truth);
                AddActor([&truth] { Free(0, 2, truth); });
                AddActor([] {});
                AddActor([] { Reap(); });
              },
              3});
}

}  // namespace
}  // namespace hami::limiter::region
