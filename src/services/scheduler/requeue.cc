#include "services/scheduler/requeue.h"

#include <algorithm>
#include <vector>

namespace hami::scheduler {
namespace {

constexpr Duration kSettle = std::chrono::milliseconds(100);  // events come in bursts
constexpr Duration kPerPod = std::chrono::seconds(5);
constexpr int kPerSweep = 20;
constexpr Duration kBetweenFullSweeps = std::chrono::seconds(1);

}  // namespace

Requeuer::Requeuer(Executor& executor, RequeuerHooks hooks)
    : executor_(executor), hooks_(std::move(hooks)) {}

Requeuer::~Requeuer() {
  if (timer_ != 0) executor_.Cancel(timer_);
}

void Requeuer::Refused(const std::string& uid, int64_t creation_unix) {
  Add(uid, creation_unix, false);
  entries_.at(uid).once = false;
}

void Requeuer::Inherited(const std::string& uid, int64_t creation_unix) {
  Add(uid, creation_unix, true);
}

void Requeuer::Add(const std::string& uid, int64_t creation_unix, bool once) {
  auto [it, fresh] = entries_.try_emplace(uid, Entry{.creation = creation_unix, .once = once});
  if (fresh) order_.insert({creation_unix, uid});
}

void Requeuer::Settled(const std::string& uid) {
  auto it = entries_.find(uid);
  if (it == entries_.end()) return;
  order_.erase({it->second.creation, uid});
  entries_.erase(it);
}

void Requeuer::CapacityChanged(const std::string& node) {
  if (entries_.empty()) return;
  dirty_.insert(node);
  if (timer_ == 0) Arm(kSettle);
}

void Requeuer::Arm(Duration after) {
  timer_ = executor_.PostAfter(after, [this] {
    timer_ = 0;
    Sweep();
  });
}

void Requeuer::Sweep() {
  MonoTime now = executor_.clock().Mono();
  int poked = 0;
  bool later = false;
  std::vector<std::string> done;
  for (const auto& [creation, uid] : order_) {
    Entry& entry = entries_.at(uid);
    bool fits = std::any_of(dirty_.begin(), dirty_.end(),
                            [&](const std::string& node) { return hooks_.fits_now(uid, node); });
    if (!fits) continue;
    if (entry.next_poke > now || poked == kPerSweep) {
      later = true;
      continue;
    }
    entry.next_poke = now + kPerPod;
    ++poked;
    hooks_.poke(uid, ++entry.pokes);
    if (entry.once) done.push_back(uid);
  }
  for (const std::string& uid : done) Settled(uid);
  if (later) return Arm(kBetweenFullSweeps);
  dirty_.clear();
}

}  // namespace hami::scheduler
