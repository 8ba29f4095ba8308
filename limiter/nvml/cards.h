// What NVML alone can tell: the order of the container's cards, and how much a process takes.
//
// Every function opens and closes NVML itself (its init is counted) and needs none of the program's
// state. Slow on hardware (10 ms and more): called when the region does not know the answer yet.
// Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "limiter/nvml/nvml_api.h"

namespace hami::limiter::nvml {

// Writes uuids[] and device_num of the region, in NVML's order. False: NVML is missing or fails.
bool LearnCards();
// The same between a program's own nvmlInit and nvmlShutdown.
bool LearnCardsWhileOpen();

// Index in the region of a card's UUID text; negative: not there.
int IndexOfUuid(const char* uuid);

// The processes that NVML shows on a card.
struct Processes {
  static constexpr size_t kMost = 128;
  size_t count = 0;
  uint32_t pid[kMost];
  uint64_t bytes[kMost];

  uint64_t BytesOf(uint32_t wanted) const {
    for (size_t i = 0; i < count; ++i) {
      if (pid[i] == wanted) return bytes[i];
    }
    return 0;
  }
};
std::optional<Processes> ProcessesOn(unsigned index);

// What this process took between two looks: its own pid's growth, or the newcomers' size, if
// they agree, when NVML shows pids of another namespace. Nothing when that cannot be told.
std::optional<uint64_t> GrowthOfOwn(const Processes& before, const Processes& after);

// Keeps NVML open from now on: for one who asks each second. False: there is none.
bool StayOpen();

// Percent of a card's time that processes used since a moment (microseconds of the wall clock).
struct Utilization {
  unsigned count = 0;
  nvmlProcessUtilizationSample_t samples[Processes::kMost];

  // Of one process, the mean if it is listed more than once. Nothing: it is not listed.
  std::optional<unsigned> Of(uint32_t pid) const;
  // Stamp of the newest sample, microseconds of the wall clock: the percents are of what was until
  // then. 0: nobody was busy.
  uint64_t newest_us() const;
};
// Nothing when NVML cannot tell. Costs one call only between StayOpen and the process's end.
std::optional<Utilization> UtilizationOn(unsigned index, uint64_t since_us);

}  // namespace hami::limiter::nvml
