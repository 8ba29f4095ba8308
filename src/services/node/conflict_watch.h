// ConflictWatch: whether another device plugin seems to serve the same resource on this node, which
// shows in kubelet counting something else than what we offer. Pure: time comes in as an argument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace hami::node {

class ConflictWatch {
 public:
  // `counted`: the Node's allocatable quantity, empty where there is none; `offered`: healthy
  // shares. Gives the sentence for the operator once they have differed for a minute, and again
  // only after they agreed.
  std::optional<std::string> Look(MonoTime now, const std::string& resource,
                                  const std::string& counted, int64_t offered);
  // kubelet does not know us now: what it counts says nothing.
  void Forget();

 private:
  std::optional<MonoTime> differ_since_;
  bool said_ = false;
};

}  // namespace hami::node
