// Requeuer: wakes Pods that were refused and now would fit (spec/scheduler.md 19.5).
//
// Owner and only caller: the state thread. kube-scheduler retries a refused Pod on events that it
// understands, or after minutes; a changed label on the Pod itself is such an event on every
// version. Pokes are few: only Pods that fit now, one per Pod in 5 s, 20 per second in all.
//
// What this process refused it knows. A Pod that a predecessor refused is inherited: woken once
// when it would fit, for what else keeps it waiting (CPU, a taint) is not known here.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/executor.h"
#include "domain/model/pod.h"

namespace hami::scheduler {

struct RequeuerHooks {
  std::function<bool(const std::string& uid, const std::string& node)> fits_now;
  std::function<void(const std::string& uid, uint64_t count)> poke;
};

class Requeuer {
 public:
  Requeuer(Executor& executor, RequeuerHooks hooks);
  ~Requeuer();

  void Refused(const std::string& uid, int64_t creation_unix);
  void Inherited(const std::string& uid, int64_t creation_unix);  // nothing if known already
  void Settled(const std::string& uid);                           // placed, bound or gone
  void CapacityChanged(const std::string& node);
  size_t waiting() const { return order_.size(); }

 private:
  void Add(const std::string& uid, int64_t creation_unix, bool once);
  void Arm(Duration after);
  void Sweep();

  Executor& executor_;
  RequeuerHooks hooks_;
  struct Entry {
    int64_t creation = 0;
    MonoTime next_poke{};
    uint64_t pokes = 0;
    bool once = false;
  };
  std::map<std::string, Entry> entries_;
  std::set<std::pair<int64_t, std::string>> order_;  // oldest first
  std::set<std::string> dirty_;
  Executor::TimerId timer_ = 0;
};

}  // namespace hami::scheduler
