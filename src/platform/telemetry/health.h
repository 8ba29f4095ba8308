// Health: what /healthz and /readyz answer.
//
// Thread-safe. Components state what they wait for; ready means that nobody waits for anything.
// Alive needs no state: a process that answers is alive.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/thread_annotations.h"

namespace hami::telemetry {

struct HealthAnswer {
  int status = 200;
  std::string body;  // text/plain; empty when all is well
};

class Health {
 public:
  // `reason`: why `component` is not ready ("list of nodes not complete"); "" when it is.
  void Set(std::string_view component, std::string reason);

  // /healthz: 200, always.
  static HealthAnswer Healthz() { return {}; }
  // /readyz: 200, or 503 with one "component: reason" line for each that is not ready.
  HealthAnswer Readyz() const;
  bool ready() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> waiting_ GUARDED_BY(mutex_);
};

}  // namespace hami::telemetry
