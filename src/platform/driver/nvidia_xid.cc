#include "platform/driver/nvidia_xid.h"

#include <algorithm>
#include <array>

namespace hami::driver {
namespace {

// Faults of programs: the driver reports them, the card is fine.
constexpr std::array<uint64_t, 6> kApplication = {13, 31, 43, 45, 68, 109};
// Memory, link and firmware faults after which only a reset helps.
constexpr std::array<uint64_t, 12> kLasting = {48, 63, 64, 74, 79, 92, 94, 95, 119, 120, 140, 143};

Result<std::string> Numbers(std::string_view name, std::string_view text) {
  std::string out = ",";
  while (!text.empty()) {
    const size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (item.empty()) continue;
    if (item.find_first_not_of("0123456789") != std::string_view::npos) {
      return Fail(Code::kInvalidArgument, std::string(name) + ": \"" + std::string(item) +
                                              "\": expected all, xids or a list of numbers");
    }
    out += std::string(item) + ",";
  }
  return out;
}

bool IsWhole(std::string_view text) { return text == "all" || text == "xids"; }

}  // namespace

EventClass ClassifyXid(uint64_t xid) {
  if (std::ranges::find(kApplication, xid) != kApplication.end()) return EventClass::kApplication;
  if (std::ranges::find(kLasting, xid) != kLasting.end()) return EventClass::kLasting;
  return EventClass::kTransient;
}

Result<XidFilter> XidFilter::Parse(std::string_view disabled, std::string_view enabled) {
  XidFilter filter;
  const bool all_off = IsWhole(disabled);
  filter.enable_all_ = IsWhole(enabled);
  if (!all_off) {
    TRY_ASSIGN(filter.disabled_, Numbers("DP_DISABLE_HEALTHCHECKS", disabled));
  }
  if (!filter.enable_all_) {
    TRY_ASSIGN(filter.enabled_, Numbers("DP_ENABLE_HEALTHCHECKS", enabled));
  }
  filter.active_ = !all_off || filter.enable_all_ || filter.enabled_ != ",";
  if (all_off) filter.disabled_ = "all";
  return filter;
}

EventClass XidFilter::Classify(uint64_t xid) const {
  const std::string key = "," + std::to_string(xid) + ",";
  const EventClass natural = ClassifyXid(xid);
  if (enable_all_ || enabled_.find(key) != std::string::npos) {
    return natural == EventClass::kApplication ? EventClass::kTransient : natural;
  }
  if (disabled_ == "all" || disabled_.find(key) != std::string::npos) {
    return EventClass::kApplication;
  }
  return natural;
}

}  // namespace hami::driver
