#include "services/node/conflict_watch.h"

namespace hami::node {
namespace {

constexpr Duration kConflictAfter = std::chrono::seconds(60);

}  // namespace

std::optional<std::string> ConflictWatch::Look(MonoTime now, const std::string& resource,
                                               const std::string& counted, int64_t offered) {
  if (counted == std::to_string(offered)) {
    Forget();
    return std::nullopt;
  }
  if (!differ_since_) differ_since_ = now;
  if (said_ || now - *differ_since_ < kConflictAfter) return std::nullopt;
  said_ = true;
  return "kubelet counts " + (counted.empty() ? "none" : counted) + " of " + resource +
         ", we offer " + std::to_string(offered) + ": does another device plugin run here?";
}

void ConflictWatch::Forget() {
  differ_since_.reset();
  said_ = false;
}

}  // namespace hami::node
