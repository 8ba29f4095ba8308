// A model checker for the account: runs the real code (account.h, slots.h) in every interleaving,
// at every access to a shared word, of up to three processes, each of which may die anywhere.
//
// A state is what the words hold and what each actor has read since it last said where it stands
// (World::Mark), which determines what it does next; a state that was seen before is not explored
// again. To go back, the words and the stack of who acted are put back as they were: built without
// sanitizers, which keep books of stacks. One thread; one Explorer at a time.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "limiter/region/slots.h"

namespace hami::limiter::region::model {

inline constexpr unsigned kActors = 3;  // and as many slots
inline constexpr uint64_t kLimit = 3;
inline constexpr size_t kStackSize = 16 * 1024;

// In front of each access to a shared word: hands over to the scheduler.
struct ModelStep {
  struct Turn {  // an actor has one thread
    void Acquire() {}
    void Release() {}
  };
  static void At(const void* word);
  static void Known(std::initializer_list<uint64_t> values);
  template <class... Values>
  static void Known(Values... values) {
    Known({static_cast<uint64_t>(values)...});
  }
};
using Model = Account<ModelStep>;

// What the words are, what the kernel and the driver know.
struct Facts {
  // Shared words outside the region. Actor a is process a + 1.
  uint64_t lock[kActors];  // of slot i's byte: the process that holds it, 0 = nobody
  uint64_t gone[kActors];  // 1: actor a is dead, as /proc shows it
  // What the judge knows of actor a; nobody else reads it.
  uint64_t held[kActors];      // bytes that the driver gave it
  uint64_t reserved[kActors];  // bytes that it was granted and has not used yet
  int slot[kActors];           // its slot, -1 = none
};

// One run: the facts, and who acts.
class World : public Facts {
 public:
  World();

  std::string wrong;  // what an actor itself found wrong

  HamiRegion& region() { return *region_; }
  HamiExtDevice& device() { return region_->ext.header.devices[0]; }
  HamiExtSlot& ext(unsigned index) { return region_->ext.slots[index]; }
  uint64_t Total() { return BytesOf(device().used_total); }
  Model::Words WordsOf(unsigned actor);

  void Step(const void* word);
  // Where the acting actor stands: what it read before has no influence any more but for `known`,
  // and for what its callers keep.
  void Mark(uint64_t place, uint64_t known = 0);
  void Keep(uint64_t known);
  // The actor that acts; -1: the judge, who takes no steps.
  int acting() const { return acting_; }

 private:
  friend class Explorer;
  struct Stand {
    ucontext_t context;
    char stack[kStackSize];
    bool finished;
    uint64_t history, kept;
    int next;  // index of the word that it is about to access
  };
  struct Actor : Stand {
    std::function<void()> body;
  };
  // All that one step of one actor can change.
  struct Before {
    Facts facts;
    Stand stand;
    int32_t slot_count;
    uint64_t saturated;
    HamiExtDevice device;
    HamiExtSlot slots[kActors];
  };
  void Save(unsigned actor, Before& before);
  void Restore(unsigned actor, const Before& before);
  std::vector<const void*> Words() const;
  uint64_t ValueOf(const void* word) const;
  void Let(unsigned actor);
  void Kill(unsigned actor);
  static void Entry();

  static HamiRegion* region_;  // reused: 4 MiB
  std::vector<const void*> words_;
  std::vector<std::unique_ptr<Actor>> actors_;
  ucontext_t scheduler_;
  int acting_ = -1;
};

extern World* world;

// The files' locks and /proc as the model's kernel has them.
struct ModelLocks {
  uint64_t process;
  bool TryLock(int index);
  void Unlock(int index);
  bool IsDead(HamiExtSlot& slot);
};

struct Scenario {
  std::vector<std::function<void()>> bodies;
  std::vector<unsigned> mortals;             // actors that may be killed anywhere
  std::function<void(World&)> prepare = {};  // before they start
};

struct Explored {
  size_t states = 0;
  double interleavings = 0;
  std::string counterexample;  // empty: none
};

// Checks at every step that the total covers what the living hold and stays within the limit, and
// at every end that one more reaper makes it exact.
Explored Explore(const Scenario& scenario);

}  // namespace hami::limiter::region::model
