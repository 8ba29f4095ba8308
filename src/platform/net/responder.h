// The shared half of a Responder: between whoever answers (any thread) and the session (Loop's
// thread).
//
// Private to platform/net.
#pragma once

#include <atomic>
#include <functional>
#include <utility>

#include "base/mutex.h"
#include "platform/net/http_server.h"

namespace hami::net {

struct Responder::State {
  explicit State(std::function<void(HttpResponse)> d) : deliver(std::move(d)) {}
  ~State() {
    // Nobody answered: the program forgot it or was shutting down.
    Deliver({.status = 500, .content_type = "text/plain", .body = "no answer\n", .headers = {}});
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void Deliver(HttpResponse response) {
    std::function<void(HttpResponse)> to;
    {
      MutexLock lock(mutex);
      to.swap(deliver);
      // Called under the lock: Detach must not return while a delivery is on its way to the Loop.
      if (to) to(std::move(response));
    }
  }
  // The session ended: answers go nowhere from here on.
  void Detach() {
    std::function<void(HttpResponse)> dropped;
    MutexLock lock(mutex);
    dropped.swap(deliver);
    closed = true;
  }

  Mutex mutex;
  std::function<void(HttpResponse)> deliver GUARDED_BY(mutex);
  std::atomic<bool> closed{false};
};

}  // namespace hami::net
