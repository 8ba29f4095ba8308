// NVML as the container sees it: its own share of each card (spec A3).
#include <atomic>
#include <cstring>

#include "limiter/hook/prologue.h"
#include "limiter/hook/tables.h"
#include "limiter/nvml/cards.h"
#include "limiter/region/attachment.h"

namespace hami::limiter::nvml {
namespace {

using region::Attachment;

// NVML's handles seen so far; anew after each nvmlInit, which may change them.
struct KnownHandle {
  std::atomic<nvmlDevice_t> device{nullptr};
  std::atomic<int> index{-1};
};
constinit KnownHandle known[2 * HAMI_V1_DEVICES];

void ForgetHandles() {
  for (KnownHandle& entry : known) entry.device.store(nullptr, std::memory_order_release);
}

int AskIndexOf(nvmlDevice_t device) {
  const auto get_uuid = HAMI_REAL_NVML(nvmlDeviceGetUUID);
  char uuid[HAMI_V1_UUID_SIZE] = {};
  if (get_uuid == nullptr || get_uuid(device, uuid, sizeof uuid) != NVML_SUCCESS) return -1;
  if (IndexOfUuid(uuid) < 0) LearnCardsWhileOpen();
  return IndexOfUuid(uuid);
}

// Index in the region; negative: a card that the container's account does not know.
int IndexOf(nvmlDevice_t device) {
  for (const KnownHandle& entry : known) {
    if (entry.device.load(std::memory_order_acquire) == device) return entry.index.load();
  }
  const int index = AskIndexOf(device);
  for (KnownHandle& entry : known) {
    nvmlDevice_t none = nullptr;
    if (index < 0 || entry.device.load() != nullptr) continue;
    entry.index.store(index);
    if (entry.device.compare_exchange_strong(none, device)) break;
  }
  return index;
}

nvmlReturn_t AfterInit(nvmlReturn_t result) {
  if (result == NVML_SUCCESS && hook::Ready()) {
    ForgetHandles();
    LearnCardsWhileOpen();
    Attachment::Own().LookAround();
  }
  return result;
}

struct Share {
  uint64_t total, used;
};

// False: no limit holds for the card, so the driver's figures stand.
bool ShareOf(nvmlDevice_t device, uint64_t physical, Share& share) {
  if (!hook::Ready()) return false;
  const int index = IndexOf(device);
  if (index < 0) return false;
  Attachment& own = Attachment::Own();
  const uint64_t limit = own.MemoryLimit(static_cast<unsigned>(index));
  if (limit == 0) return false;
  share.total = limit < physical ? limit : physical;
  const uint64_t used = own.Used(static_cast<unsigned>(index));
  share.used = used < share.total ? used : share.total;
  return true;
}

}  // namespace
}  // namespace hami::limiter::nvml

using hami::limiter::hook::Busy;
using hami::limiter::hook::Inside;

extern "C" {

#define HAMI_NVML_REAL_OR_RETURN(name)    \
  const auto real = HAMI_REAL_NVML(name); \
  if (real == nullptr) return NVML_ERROR_FUNCTION_NOT_FOUND

nvmlReturn_t nvmlInit_v2() {
  HAMI_NVML_REAL_OR_RETURN(nvmlInit_v2);
  if (Busy()) return real();
  const Inside inside;
  return hami::limiter::nvml::AfterInit(real());
}

nvmlReturn_t nvmlInit() {
  HAMI_NVML_REAL_OR_RETURN(nvmlInit);
  if (Busy()) return real();
  const Inside inside;
  return hami::limiter::nvml::AfterInit(real());
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
  HAMI_NVML_REAL_OR_RETURN(nvmlInitWithFlags);
  if (Busy()) return real(flags);
  const Inside inside;
  return hami::limiter::nvml::AfterInit(real(flags));
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  HAMI_NVML_REAL_OR_RETURN(nvmlDeviceGetMemoryInfo);
  const nvmlReturn_t result = real(device, memory);
  if (result != NVML_SUCCESS || Busy()) return result;
  const Inside inside;
  hami::limiter::nvml::Share share;
  if (hami::limiter::nvml::ShareOf(device, memory->total, share)) {
    *memory = {share.total, share.total - share.used, share.used};
  }
  return result;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  HAMI_NVML_REAL_OR_RETURN(nvmlDeviceGetMemoryInfo_v2);
  const nvmlReturn_t result = real(device, memory);
  if (result != NVML_SUCCESS || Busy()) return result;
  const Inside inside;
  hami::limiter::nvml::Share share;
  if (hami::limiter::nvml::ShareOf(device, memory->total, share)) {
    *memory = {memory->version, share.total, 0, share.total - share.used, share.used};
  }
  return result;
}

}  // extern "C"
