// XIDs: NVIDIA's numbered driver errors, and what each says about the card
// (spec/device-plugin.md 9). Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "platform/driver/card_health.h"

namespace hami::driver {

EventClass ClassifyXid(uint64_t xid);

// DP_DISABLE_HEALTHCHECKS and DP_ENABLE_HEALTHCHECKS: "all", "xids" or a comma list of numbers.
// Enabling wins over disabling; words that are no number are errors naming the variable.
class XidFilter {
 public:
  static Result<XidFilter> Parse(std::string_view disabled, std::string_view enabled);
  // False when health checks are off altogether.
  bool active() const { return active_; }
  EventClass Classify(uint64_t xid) const;

 private:
  bool active_ = true;
  bool enable_all_ = false;
  std::string disabled_;  // ",13,31," for lookup
  std::string enabled_;
};

}  // namespace hami::driver
