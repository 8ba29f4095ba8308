// What holds for this process on each device: the lowest of what the region says, of what the
// administrator's page (limits.ro) says, and of what the environment wishes.
//
// Owner: the process's Attachment. Until Bind() one thread; then any, while others change words of
// region and page.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "abi/limits_page.h"
#include "abi/region.h"
#include "limiter/env/settings.h"
#include "limiter/region/file.h"

namespace hami::limiter::region {

// The lower of two limits in bytes, of which 0 is none.
inline uint64_t LowerLimit(uint64_t a, uint64_t b) {
  return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

class Limits {
 public:
  // Maps limits.ro: beside this library, whose place the user cannot choose, or beside the region.
  void OpenPage(std::string_view region_path);
  // Whether the administrator of the node lets containers switch the library off.
  bool MayBeSwitchedOff() const { return HasSwitch(HAMI_LIMITS_ALLOW_DISABLE_CONTROL); }
  // Where the administrator wants the region; empty: the environment tells.
  std::string_view RegionPath() const;
  // What a region that is not there yet begins with.
  Creation Beginning(const env::Settings& settings) const;

  // The rest needs this. Both outlive the process's use of the library.
  void Bind(const HamiRegion* region, const env::Settings& settings);
  // Cards became known (region's v1.uuids): finds the page's entry of each.
  void BindCards();

  // Bytes that this process may bring the container to on a device now; 0: no limit.
  uint64_t Memory(unsigned device) const;
  // Bytes of the card's own memory that the container may hold at a time, the rest being managed
  // memory that can leave it (spec C5); 0: memory is not oversubscribed.
  uint64_t PhysicalShare(unsigned device) const {
    return PagesOut(device) ? ShareOnFile(device) : 0;
  }
  // Whether the container was promised more than its physical share.
  bool oversubscribed() const { return oversubscribed_; }
  // Whether what does not fit the card may leave it.
  bool PagesOut(unsigned device) const { return oversubscribed_ && CanPage(device); }
  // A card whose managed memory cannot leave it: the physical share is the limit.
  void ForbidPaging(unsigned device) { unpaged_.fetch_or(1u << device, std::memory_order_relaxed); }

  // Percent of a device's time that the container may use now; 100: no limit.
  uint32_t CorePercent(unsigned device) const;
  // HAMI_POLICY_*: the administrator's, else the environment's.
  uint32_t CorePolicy() const;
  // nullptr: the administrator says nothing beside the region.
  const HamiLimitsPage* page() const { return page_; }

 private:
  bool HasSwitch(uint32_t which) const {
    return page_ != nullptr && (page_->switches & which) != 0;
  }
  bool CanPage(unsigned device) const {
    return (unpaged_.load(std::memory_order_relaxed) >> device & 1) == 0;
  }
  // The page's entry of a device; nullptr: it has none.
  const HamiLimitsDevice* EntryOf(unsigned device) const {
    const int8_t entry = entry_of_[device].load(std::memory_order_relaxed);
    return entry > 0 ? &page_->devices[entry - 1] : nullptr;
  }
  uint64_t ShareOnFile(unsigned device) const;
  uint64_t MemoryWish(unsigned device) const;
  uint32_t CoreWish(unsigned device) const;

  const HamiLimitsPage* page_ = nullptr;
  const HamiRegion* region_ = nullptr;
  const env::Settings* settings_ = nullptr;
  bool oversubscribed_ = false;
  std::atomic<uint32_t> unpaged_{0};                   // bit d: ForbidPaging(d)
  std::atomic<int8_t> entry_of_[HAMI_EXT_DEVICES];     // entry of the page + 1; 0: none
  std::atomic<uint64_t> wish_[HAMI_EXT_DEVICES];       // bytes; 0: none
  std::atomic<uint32_t> core_wish_[HAMI_EXT_DEVICES];  // percent; 0: none
};

}  // namespace hami::limiter::region
