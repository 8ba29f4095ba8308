// Backoff: how long until the next try. Doubles from `first` to `last`; Reset after a success.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace hami::node {

class Backoff {
 public:
  Backoff(Duration first, Duration last) : first_(first), last_(last), next_(first) {}
  Duration Next() {
    const Duration now = next_;
    next_ = std::min(next_ * 2, last_);
    return now;
  }
  void Reset() { next_ = first_; }

 private:
  Duration first_, last_, next_;
};

}  // namespace hami::node
