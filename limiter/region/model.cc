#include "limiter/region/model.h"

#include <cstring>

namespace hami::limiter::region::model {
namespace {

constexpr uint64_t kFnvStart = 14695981039346656037u;

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
  hash *= 1099511628211u;
  return hash ^ hash >> 29;
}

}  // namespace

World* world = nullptr;
HamiRegion* World::region_ = nullptr;

void ModelStep::At(const void* word) { world->Step(word); }

void ModelStep::Known(std::initializer_list<uint64_t> values) {
  uint64_t known = values.size();
  for (const uint64_t value : values) known = Mix(known, value);
  world->Mark(0, known);
}

World::World() : Facts{} {
  static const auto region = std::make_unique<HamiRegion>();
  region_ = region.get();
  region_->ext.header = {};
  region_->v1.proc_num = kActors;
  for (unsigned i = 0; i < kActors; ++i) {
    slot[i] = -1;
    ext(i) = {};
    region_->v1.procs[i] = {};
  }
  words_ = Words();
}

std::vector<const void*> World::Words() const {
  std::vector<const void*> words = {&region_->ext.header.devices[0].used_total,
                                    &region_->v1.proc_num};
  for (unsigned i = 0; i < kActors; ++i) {
    const HamiExtSlot& ext = region_->ext.slots[i];
    words.insert(words.end(), {&ext.state, &ext.pending[0], &ext.device[0].bytes[HAMI_KIND_DATA],
                               &lock[i], &gone[i]});
  }
  return words;
}

uint64_t World::ValueOf(const void* word) const {
  const auto at = reinterpret_cast<uintptr_t>(word);
  uint64_t value = 0;
  const bool narrow = word == &region_->v1.proc_num;
  for (unsigned i = 0; i < kActors; ++i) {
    if (word == &region_->ext.slots[i].state) return region_->ext.slots[i].state;
  }
  memcpy(&value, reinterpret_cast<const void*>(at), narrow ? 4 : 8);
  return value;
}

Model::Words World::WordsOf(unsigned actor) {
  const auto index = static_cast<unsigned>(slot[actor]);
  static ModelStep::Turn turn;
  return {&region_->ext.header,
          &device(),
          &ext(index).device[0],
          &ext(index).pending[0],
          &region_->v1.procs[index].used[0],
          &turn};
}

void World::Step(const void* word) {
  if (acting_ < 0) return;
  int index = -1;
  for (size_t i = 0; i < words_.size() && index < 0; ++i) {
    if (words_[i] == word) index = static_cast<int>(i);
  }
  if (index < 0) return;
  Actor& actor = *actors_[static_cast<size_t>(acting_)];
  actor.next = index;
  swapcontext(&actor.context, &scheduler_);
  actor.history = Mix(Mix(actor.history, static_cast<uint64_t>(index)), ValueOf(word));
}

void World::Mark(uint64_t place, uint64_t known) {
  if (acting_ < 0) return;
  Actor& actor = *actors_[static_cast<size_t>(acting_)];
  actor.history = Mix(Mix(Mix(kFnvStart, actor.kept), place), known);
}

void World::Keep(uint64_t known) {
  Actor& actor = *actors_[static_cast<size_t>(acting_)];
  actor.kept = Mix(actor.kept, known);
  actor.history = Mix(actor.history, known);
}

void World::Entry() {
  Actor& actor = *world->actors_[static_cast<size_t>(world->acting_)];
  actor.body();
  actor.finished = true;
  actor.next = -1;
  actor.history = 0;
  swapcontext(&actor.context, &world->scheduler_);
}

void World::Let(unsigned actor) {
  acting_ = static_cast<int>(actor);
  swapcontext(&scheduler_, &actors_[actor]->context);
  acting_ = -1;
}

// The kernel drops its locks, the driver frees its memory.
void World::Kill(unsigned actor) {
  actors_[actor]->finished = true;
  actors_[actor]->next = -1;
  actors_[actor]->history = 0;
  gone[actor] = 1;
  held[actor] = reserved[actor] = 0;
  for (uint64_t& holder : lock) {
    if (holder == actor + 1) holder = 0;
  }
}

void World::Save(unsigned actor, Before& before) {
  before.facts = *this;
  before.stand = *actors_[actor];
  before.slot_count = region_->v1.proc_num;
  before.saturated = region_->ext.header.saturated;
  before.device = device();
  for (unsigned i = 0; i < kActors; ++i) before.slots[i] = ext(i);
}

void World::Restore(unsigned actor, const Before& before) {
  static_cast<Facts&>(*this) = before.facts;
  static_cast<Stand&>(*actors_[actor]) = before.stand;
  region_->v1.proc_num = before.slot_count;
  region_->ext.header.saturated = before.saturated;
  device() = before.device;
  for (unsigned i = 0; i < kActors; ++i) ext(i) = before.slots[i];
}

bool ModelLocks::TryLock(int index) {
  uint64_t& holder = world->lock[index];
  ModelStep::At(&holder);
  if (holder != 0 && holder != process) return false;
  holder = process;
  return true;
}

void ModelLocks::Unlock(int index) {
  ModelStep::At(&world->lock[index]);
  world->lock[index] = 0;
}

bool ModelLocks::IsDead(HamiExtSlot& slot) {
  const uint32_t state = Model::LoadState(slot);
  if (state == HAMI_SLOT_CLAIMING || state == HAMI_SLOT_REAPING) return true;
  const uint64_t& gone = world->gone[slot.pid - 1];
  ModelStep::At(&gone);
  return gone != 0;
}

class Explorer {
 public:
  explicit Explorer(const Scenario& scenario) : scenario_(scenario) {}

  Explored Explore() {
    World run;
    world = &run;
    if (scenario_.prepare) scenario_.prepare(run);
    for (const std::function<void()>& body : scenario_.bodies) {
      run.actors_.push_back(std::make_unique<World::Actor>());
      World::Actor& actor = *run.actors_.back();
      actor.body = body;
      actor.next = -1;
      getcontext(&actor.context);
      actor.context.uc_stack.ss_sp = actor.stack;
      actor.context.uc_stack.ss_size = kStackSize;
      actor.context.uc_link = nullptr;
      makecontext(&actor.context, &World::Entry, 0);
    }
    explored_.interleavings = Descend();
    explored_.states = ways_.size();
    world = nullptr;
    return explored_;
  }

 private:
  using Key = std::pair<uint64_t, uint64_t>;
  struct Hash {
    size_t operator()(const Key& key) const { return key.first; }
  };
  struct Choice {
    unsigned actor;
    bool kill;
  };

  static void Apply(const Choice& choice) {
    choice.kill ? world->Kill(choice.actor) : world->Let(choice.actor);
  }

  static Key KeyOf() {
    Key key = {kFnvStart, 1};
    const auto add = [&key](uint64_t value) {
      key.first = Mix(key.first, value);
      key.second = Mix(key.second * 31, value);
    };
    for (const void* word : world->words_) add(world->ValueOf(word));
    for (unsigned i = 0; i < kActors; ++i) {
      add(world->held[i]);
      add(world->reserved[i]);
      add(static_cast<uint64_t>(world->slot[i]));
      add(static_cast<uint64_t>(world->ext(i).pid));
    }
    for (const auto& actor : world->actors_) {
      add(actor->history);
      add(static_cast<uint64_t>(actor->next));
      add(actor->finished);
    }
    return key;
  }

  std::string PathText() const {
    std::string text = " after";
    for (const Choice& choice : path_) {
      text += (choice.kill ? " kill" : " ") + std::to_string(choice.actor);
    }
    return text;
  }

  void Fail(const std::string& what) { explored_.counterexample = what + PathText(); }

  static uint64_t Held() {
    uint64_t held = 0;
    for (unsigned i = 0; i < kActors; ++i) held += world->held[i] + world->reserved[i];
    return held;
  }

  void Check() {
    if (!world->wrong.empty()) return Fail(world->wrong);
    if (world->Total() < Held() || world->Total() > kLimit) {
      return Fail("total " + std::to_string(world->Total()) + ", held " + std::to_string(Held()));
    }
    for (unsigned i = 0; i < kActors; ++i) {
      if (world->slot[i] < 0 || world->gone[i] != 0) continue;
      HamiExtSlot& ext = world->ext(static_cast<unsigned>(world->slot[i]));
      const uint64_t announced = BytesOf(ext.pending[0]) + ext.device[0].bytes[HAMI_KIND_DATA];
      if (announced < world->held[i] + world->reserved[i]) {
        return Fail("the slot of " + std::to_string(i) + " shows " + std::to_string(announced));
      }
    }
  }

  // Everybody has finished or died: one more reaper makes all of it exact.
  void CheckEnd() {
    ModelLocks judge{kActors + 1};
    for (unsigned i = 0; i < kActors; ++i)
      ReapSlot<ModelStep>(world->region(), static_cast<int>(i), judge);
    Model::Repair(world->region(), 0);
    if (world->Total() != Held()) {
      return Fail("in the end total " + std::to_string(world->Total()) + ", held " +
                  std::to_string(Held()));
    }
    for (unsigned i = 0; i < kActors; ++i) {
      HamiExtSlot& ext = world->ext(i);
      const bool owned = ext.pid != 0 && world->gone[ext.pid - 1] == 0;
      if (ext.state == HAMI_SLOT_FREE ? owned && world->slot[ext.pid - 1] == static_cast<int>(i)
                                      : !owned) {
        return Fail("in the end slot " + std::to_string(i) + " is in the wrong state");
      }
    }
    if (world->region().ext.header.saturated != 0) Fail("a subtraction went below zero");
  }

  std::vector<Choice> Choices() const {
    std::vector<Choice> choices;
    for (unsigned i = 0; i < world->actors_.size(); ++i) {
      if (!world->actors_[i]->finished) choices.push_back({i, false});
    }
    if (choices.empty()) return {};
    for (const unsigned mortal : scenario_.mortals) {  // also one that has finished its work
      if (world->gone[mortal] == 0) choices.push_back({mortal, true});
    }
    return choices;
  }

  // From where the world stands; how many ways lead on from there to an end.
  double Descend() {
    Check();
    if (!explored_.counterexample.empty()) return 0;
    const Key key = KeyOf();
    const auto known = ways_.find(key);
    if (known != ways_.end()) return known->second;
    double ways = 0;
    const std::vector<Choice> choices = Choices();
    const auto before = std::make_unique<World::Before>();
    world->Save(0, *before);
    if (choices.empty()) {
      CheckEnd();
      world->Restore(0, *before);
      ways = 1;
    }
    for (const Choice& choice : choices) {
      world->Save(choice.actor, *before);
      path_.push_back(choice);
      Apply(choice);
      ways += Descend();
      if (!explored_.counterexample.empty()) return 0;
      path_.pop_back();
      world->Restore(choice.actor, *before);
    }
    ways_.emplace(key, ways);
    return ways;
  }

  const Scenario& scenario_;
  std::vector<Choice> path_;
  std::unordered_map<Key, double, Hash> ways_;
  Explored explored_;
};

Explored Explore(const Scenario& scenario) { return Explorer(scenario).Explore(); }

}  // namespace hami::limiter::region::model
