// DriverWatch: asks a vendor's driver for its cards and events, on threads of its own.
//
// A driver call may hang for ever: nobody waits for it, LookAge tells how long a look has
// taken, and stopping leaves a hanging thread behind instead of hanging too. Callbacks come from
// those threads; none comes after Stop returned.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "platform/driver/node_vendor.h"

namespace hami::node {

struct DriverWatchOptions {
  Duration interval = std::chrono::seconds(5);
  std::function<void(Result<std::vector<driver::CardInfo>>)> on_cards;
  std::function<void(std::vector<driver::HealthEvent>)> on_events;
};

class DriverWatch {
 public:
  DriverWatch(std::shared_ptr<driver::NodeVendor> vendor, DriverWatchOptions options);
  ~DriverWatch() { Stop(); }
  void Stop();
  // Looks at once instead of at the end of the interval.
  void LookNow();
  // How long the look under way has taken; 0 when none is.
  Duration LookAge() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hami::node
