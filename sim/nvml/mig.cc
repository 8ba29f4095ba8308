// MIG: cards that are cut into instances.
#include "sim/nvml/library.h"

using namespace hami::sim;  // NOLINT: only exported C functions below

namespace {

constexpr uint32_t kAmpere = 7;
constexpr unsigned kMostInstances = 7;

int PutNumber(unsigned* out, unsigned value) {
  if (out == nullptr) return kNvmlInvalidArgument;
  *out = value;
  return kNvmlSuccess;
}

bool CanBeCut(const Card& card) { return card.is_mig || card.architecture >= kAmpere; }

struct Attributes {
  uint32_t sm_count, copy_engines, decoders, encoders, jpegs, ofas;
  uint32_t gpu_slices, compute_slices;
  uint64_t memory_mib;
};
static_assert(sizeof(Attributes) == 40);

}  // namespace

SIM_NVML nvmlDeviceGetMigMode(NvmlDevice* device, unsigned* current, unsigned* pending) {
  SIM_NVML_CALL(nvmlDeviceGetMigMode);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(current);
  SIM_NVML_OUT(pending);
  if (!CanBeCut(*card) || card->parent >= 0) return kNvmlNotSupported;
  *current = *pending = card->is_mig ? 1 : 0;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetMaxMigDeviceCount(NvmlDevice* device, unsigned* count) {
  SIM_NVML_CALL(nvmlDeviceGetMaxMigDeviceCount);
  SIM_NVML_CARD(device);
  return PutNumber(count, CanBeCut(*card) && card->parent < 0 ? kMostInstances : 0);
}

SIM_NVML nvmlDeviceIsMigDeviceHandle(NvmlDevice* device, unsigned* is_mig) {
  SIM_NVML_CALL(nvmlDeviceIsMigDeviceHandle);
  SIM_NVML_CARD(device);
  return PutNumber(is_mig, card->parent >= 0 ? 1 : 0);
}

SIM_NVML nvmlDeviceGetMigDeviceHandleByIndex(NvmlDevice* device, unsigned index, NvmlDevice** out) {
  SIM_NVML_CALL(nvmlDeviceGetMigDeviceHandleByIndex);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(out);
  if (card->parent >= 0 || index >= kMostInstances) return kNvmlInvalidArgument;
  const int found = InstanceOf(library.machine().cards(), device->card, static_cast<int>(index));
  return found < 0 ? static_cast<int>(kNvmlNotFound) : library.HandleOf(found, out);
}

SIM_NVML nvmlDeviceGetDeviceHandleFromMigDeviceHandle(NvmlDevice* device, NvmlDevice** out) {
  SIM_NVML_CALL(nvmlDeviceGetDeviceHandleFromMigDeviceHandle);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(out);
  return card->parent < 0 ? static_cast<int>(kNvmlInvalidArgument)
                          : library.HandleOf(card->parent, out);
}

SIM_NVML nvmlDeviceGetGpuInstanceId(NvmlDevice* device, unsigned* id) {
  SIM_NVML_CALL(nvmlDeviceGetGpuInstanceId);
  SIM_NVML_CARD(device);
  return card->parent < 0 ? static_cast<int>(kNvmlNotSupported) : PutNumber(id, card->gpu_instance);
}

SIM_NVML nvmlDeviceGetComputeInstanceId(NvmlDevice* device, unsigned* id) {
  SIM_NVML_CALL(nvmlDeviceGetComputeInstanceId);
  SIM_NVML_CARD(device);
  return card->parent < 0 ? static_cast<int>(kNvmlNotSupported)
                          : PutNumber(id, card->compute_instance);
}

SIM_NVML nvmlDeviceGetAttributes_v2(NvmlDevice* device, Attributes* out) {
  SIM_NVML_CALL(nvmlDeviceGetAttributes_v2);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(out);
  if (card->parent < 0) return kNvmlNotSupported;
  *out = Attributes{card->sm_count,          1, 0, 0, 0, 0, card->slices, card->slices,
                    card->memory_bytes >> 20};
  return kNvmlSuccess;
}
SIM_NVML nvmlDeviceGetAttributes(NvmlDevice* device, Attributes* out) {
  return nvmlDeviceGetAttributes_v2(device, out);
}
