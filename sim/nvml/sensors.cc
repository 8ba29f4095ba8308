// Sensors and settings: steady, plausible values; nothing here changes anything.
#include "sim/nvml/library.h"

using namespace hami::sim;  // NOLINT: only exported C functions below

namespace {

int PutNumber(unsigned* out, unsigned value) {
  if (out == nullptr) return kNvmlInvalidArgument;
  *out = value;
  return kNvmlSuccess;
}

constexpr unsigned kGraphicsClock = 0, kSmClock = 1, kMemoryClock = 2, kVideoClock = 3;

int Clock(const Card& card, unsigned type, unsigned* mhz) {
  if (type > kVideoClock) return kNvmlInvalidArgument;
  return PutNumber(mhz, type == kMemoryClock ? card.memory_clock_mhz : card.sm_clock_mhz);
}

}  // namespace

// One number that depends on the card alone.
#define SIM_NVML_NUMBER(name, value)                 \
  SIM_NVML name(NvmlDevice* device, unsigned* out) { \
    SIM_NVML_CALL(name);                             \
    SIM_NVML_CARD(device);                           \
    return PutNumber(out, (value));                  \
  }

SIM_NVML_NUMBER(nvmlDeviceGetPersistenceMode, 1)
SIM_NVML_NUMBER(nvmlDeviceGetDisplayMode, 0)
SIM_NVML_NUMBER(nvmlDeviceGetDisplayActive, 0)
SIM_NVML_NUMBER(nvmlDeviceGetComputeMode, 0)
SIM_NVML_NUMBER(nvmlDeviceGetPerformanceState, 0)
SIM_NVML_NUMBER(nvmlDeviceGetPowerState, 0)
SIM_NVML_NUMBER(nvmlDeviceGetPowerManagementMode, 1)
SIM_NVML_NUMBER(nvmlDeviceGetPowerUsage, card->power_limit_mw / 6)
SIM_NVML_NUMBER(nvmlDeviceGetPowerManagementLimit, card->power_limit_mw)
SIM_NVML_NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, card->power_limit_mw)
SIM_NVML_NUMBER(nvmlDeviceGetEnforcedPowerLimit, card->power_limit_mw)
SIM_NVML_NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, 4)
SIM_NVML_NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, 4)
SIM_NVML_NUMBER(nvmlDeviceGetGpuMaxPcieLinkGeneration, 4)
SIM_NVML_NUMBER(nvmlDeviceGetCurrPcieLinkWidth, 16)
SIM_NVML_NUMBER(nvmlDeviceGetMaxPcieLinkWidth, 16)
SIM_NVML_NUMBER(nvmlDeviceGetPcieReplayCounter, 0)
SIM_NVML_NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, 0)
SIM_NVML_NUMBER(nvmlDeviceGetAccountingMode, 0)

SIM_NVML nvmlDeviceGetPowerManagementLimitConstraints(NvmlDevice* device, unsigned* low,
                                                      unsigned* high) {
  SIM_NVML_CALL(nvmlDeviceGetPowerManagementLimitConstraints);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(low);
  *low = card->power_limit_mw / 4;
  return PutNumber(high, card->power_limit_mw);
}

SIM_NVML nvmlDeviceGetTotalEnergyConsumption(NvmlDevice* device, uint64_t* millijoule) {
  SIM_NVML_CALL(nvmlDeviceGetTotalEnergyConsumption);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(millijoule);
  *millijoule = static_cast<uint64_t>(NowMonotonicNs() / 1'000'000) * (card->power_limit_mw / 6000);
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetTemperature(NvmlDevice* device, unsigned sensor, unsigned* degrees) {
  SIM_NVML_CALL(nvmlDeviceGetTemperature);
  SIM_NVML_CARD(device);
  return sensor == 0 ? PutNumber(degrees, 35) : kNvmlInvalidArgument;
}

SIM_NVML nvmlDeviceGetTemperatureThreshold(NvmlDevice* device, unsigned type, unsigned* degrees) {
  SIM_NVML_CALL(nvmlDeviceGetTemperatureThreshold);
  SIM_NVML_CARD(device);
  constexpr unsigned kShutdown = 0, kSlowdown = 1, kMemoryMax = 2, kGpuMax = 3;
  switch (type) {
    case kShutdown:
      return PutNumber(degrees, 92);
    case kSlowdown:
      return PutNumber(degrees, 89);
    case kMemoryMax:
      return PutNumber(degrees, 95);
    case kGpuMax:
      return PutNumber(degrees, 85);
    default:
      return kNvmlNotSupported;
  }
}

SIM_NVML nvmlDeviceGetClockInfo(NvmlDevice* device, unsigned type, unsigned* mhz) {
  SIM_NVML_CALL(nvmlDeviceGetClockInfo);
  SIM_NVML_CARD(device);
  return Clock(*card, type, mhz);
}

SIM_NVML nvmlDeviceGetMaxClockInfo(NvmlDevice* device, unsigned type, unsigned* mhz) {
  SIM_NVML_CALL(nvmlDeviceGetMaxClockInfo);
  SIM_NVML_CARD(device);
  return Clock(*card, type, mhz);
}

SIM_NVML nvmlDeviceGetApplicationsClock(NvmlDevice* device, unsigned type, unsigned* mhz) {
  SIM_NVML_CALL(nvmlDeviceGetApplicationsClock);
  SIM_NVML_CARD(device);
  return Clock(*card, type, mhz);
}

SIM_NVML nvmlDeviceGetDefaultApplicationsClock(NvmlDevice* device, unsigned type, unsigned* mhz) {
  SIM_NVML_CALL(nvmlDeviceGetDefaultApplicationsClock);
  SIM_NVML_CARD(device);
  return Clock(*card, type, mhz);
}

SIM_NVML nvmlDeviceGetEccMode(NvmlDevice* device, unsigned* current, unsigned* pending) {
  SIM_NVML_CALL(nvmlDeviceGetEccMode);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(current);
  *current = 1;
  return PutNumber(pending, 1);
}

SIM_NVML nvmlDeviceGetTotalEccErrors(NvmlDevice* device, unsigned, unsigned, uint64_t* count) {
  SIM_NVML_CALL(nvmlDeviceGetTotalEccErrors);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(count);
  *count = 0;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetMemoryErrorCounter(NvmlDevice* device, unsigned, unsigned, unsigned,
                                         uint64_t* count) {
  SIM_NVML_CALL(nvmlDeviceGetMemoryErrorCounter);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(count);
  *count = 0;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetRemappedRows(NvmlDevice* device, unsigned* corrected, unsigned* uncorrected,
                                   unsigned* pending, unsigned* failed) {
  SIM_NVML_CALL(nvmlDeviceGetRemappedRows);
  SIM_NVML_CARD(device);
  for (unsigned* out : {corrected, uncorrected, pending, failed}) {
    SIM_NVML_OUT(out);
    *out = 0;
  }
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetEncoderUtilization(NvmlDevice* device, unsigned* percent,
                                         unsigned* period_us) {
  SIM_NVML_CALL(nvmlDeviceGetEncoderUtilization);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(percent);
  *percent = 0;
  return PutNumber(period_us, 167'000);
}

SIM_NVML nvmlDeviceGetDecoderUtilization(NvmlDevice* device, unsigned* percent,
                                         unsigned* period_us) {
  SIM_NVML_CALL(nvmlDeviceGetDecoderUtilization);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(percent);
  *percent = 0;
  return PutNumber(period_us, 167'000);
}

SIM_NVML nvmlDeviceGetFieldValues(NvmlDevice* device, int count, NvmlFieldValue* values) {
  SIM_NVML_CALL(nvmlDeviceGetFieldValues);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(values);
  for (int i = 0; i < count; ++i) values[i].result = kNvmlNotSupported;
  return kNvmlSuccess;
}
