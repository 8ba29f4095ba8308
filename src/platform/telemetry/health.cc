#include "platform/telemetry/health.h"

#include <utility>

namespace hami::telemetry {

void Health::Set(std::string_view component, std::string reason) {
  std::lock_guard lock(mutex_);
  if (!reason.empty()) {
    waiting_[std::string(component)] = std::move(reason);
  } else if (auto it = waiting_.find(component); it != waiting_.end()) {
    waiting_.erase(it);
  }
}

HealthAnswer Health::Readyz() const {
  std::lock_guard lock(mutex_);
  HealthAnswer out;
  for (const auto& [component, reason] : waiting_) {
    out.status = 503;
    out.body += component + ": " + reason + "\n";
  }
  return out;
}

bool Health::ready() const {
  std::lock_guard lock(mutex_);
  return waiting_.empty();
}

}  // namespace hami::telemetry
