#include "limiter/nvml/handles.h"

#include <atomic>

#include "abi/region_v1.h"
#include "limiter/hook/tables.h"
#include "limiter/nvml/cards.h"

namespace hami::limiter::nvml {
namespace {

// Handle and index + 1 in one word, so that no reader sees one without the other.
constexpr int kIndexShift = 56;
constinit std::atomic<uint64_t> known[2 * HAMI_V1_DEVICES];

int AskIndexOf(nvmlDevice_t device) {
  const auto get_uuid = HAMI_REAL_NVML(nvmlDeviceGetUUID);
  char uuid[HAMI_V1_UUID_SIZE] = {};
  if (get_uuid == nullptr || get_uuid(device, uuid, sizeof uuid) != NVML_SUCCESS) return -1;
  if (IndexOfUuid(uuid) < 0) LearnCardsWhileOpen();
  return IndexOfUuid(uuid);
}

void Remember(uint64_t handle, int index) {
  if (index < 0 || handle >> kIndexShift != 0) return;
  const uint64_t word = handle | static_cast<uint64_t>(index + 1) << kIndexShift;
  for (std::atomic<uint64_t>& entry : known) {
    uint64_t none = 0;
    if (entry.compare_exchange_strong(none, word) || none == word) return;
  }
}

}  // namespace

void ForgetHandles() {
  for (std::atomic<uint64_t>& entry : known) entry.store(0);
}

int IndexOf(nvmlDevice_t device) {
  const auto handle = reinterpret_cast<uint64_t>(device);
  for (const std::atomic<uint64_t>& entry : known) {
    const uint64_t word = entry.load(std::memory_order_relaxed);
    if ((word & ((uint64_t{1} << kIndexShift) - 1)) == handle && word != 0) {
      return static_cast<int>(word >> kIndexShift) - 1;
    }
  }
  const int index = AskIndexOf(device);
  Remember(handle, index);
  return index;
}

}  // namespace hami::limiter::nvml
