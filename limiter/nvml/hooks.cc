// NVML as the container sees it: its own share of each card (spec A3).
#include "limiter/hook/prologue.h"
#include "limiter/hook/tables.h"
#include "limiter/nvml/cards.h"
#include "limiter/nvml/handles.h"
#include "limiter/region/attachment.h"

namespace hami::limiter::nvml {
namespace {

using region::Attachment;

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
  const uint64_t limit = own.limits().Memory(static_cast<unsigned>(index));
  if (limit == 0) return false;
  own.Glance();
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
