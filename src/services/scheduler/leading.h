// Leading: whether this replica decides, and since when. Thread-safe.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/mutex.h"
#include "platform/kube/lease.h"

namespace hami::scheduler {

struct LeaderView {
  bool leading = true;
  int64_t term = 0;                        // leaseTransitions
  MonoTime since{};                        // leadership observed
  MonoTime write_until = MonoTime::max();  // no Binding is posted after it
};

// What the Lease says, with the moment at which we learned it.
class Leading {
 public:
  void Set(const kube::Leadership& now, MonoTime mono) {
    MutexLock lock(mutex_);
    if (now.leader && !leading_) since_ = mono;
    leading_ = now.leader;
  }
  LeaderView View(const kube::Leadership& now) const {
    MutexLock lock(mutex_);
    return {.leading = now.leader && leading_,
            .term = now.term,
            .since = since_,
            .write_until = now.until};
  }

 private:
  mutable Mutex mutex_;
  bool leading_ GUARDED_BY(mutex_) = false;
  MonoTime since_ GUARDED_BY(mutex_){};
};

}  // namespace hami::scheduler
