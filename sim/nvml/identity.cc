// Which cards there are and what they are.
#include <cstdio>
#include <cstring>

#include "sim/nvml/library.h"

using namespace hami::sim;  // NOLINT: only exported C functions below

namespace {

int PutText(char* out, unsigned size, const char* text) {
  if (out == nullptr) return kNvmlInvalidArgument;
  return CopyText(out, size, text) ? kNvmlSuccess : kNvmlInsufficientSize;
}

int PutNumber(unsigned* out, unsigned value) {
  if (out == nullptr) return kNvmlInvalidArgument;
  *out = value;
  return kNvmlSuccess;
}

void FillPci(const Card& card, NvmlPciInfo* info) {
  *info = NvmlPciInfo{};
  info->domain = card.pci_domain;
  info->bus = card.pci_bus;
  info->device = card.pci_device;
  info->pci_device_id = card.pci_device_id;
  info->pci_subsystem_id = 0x10de;
  snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:%02X.0", card.pci_domain, card.pci_bus,
           card.pci_device);
  snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:%02X.0",
           card.pci_domain & 0xffff, card.pci_bus & 0xff, card.pci_device & 0xff);
}

void Serial(const Card& card, char (&text)[16]) {
  uint64_t number = 0;
  memcpy(&number, card.uuid_bytes, sizeof number);
  snprintf(text, sizeof text, "%013llu",
           static_cast<unsigned long long>(number % 10'000'000'000'000));
}

// Handle of the first visible card for which match(card) holds.
template <class Match>
int FindCard(NvmlLibrary& library, NvmlDevice** device, Match match) {
  if (device == nullptr) return kNvmlInvalidArgument;
  Machine& machine = library.machine();
  for (int i = 0; i < machine.visible_count(); ++i) {
    const int index = machine.visible(i);
    if (index < machine.cards().count && match(machine.cards().cards[index])) {
      return library.HandleOf(index, device);
    }
    for (int at = 0; InstanceOf(machine.cards(), index, at) >= 0; ++at) {
      const int instance = InstanceOf(machine.cards(), index, at);
      if (match(machine.cards().cards[instance])) return library.HandleOf(instance, device);
    }
  }
  return kNvmlNotFound;
}

}  // namespace

SIM_NVML nvmlDeviceGetCount_v2(unsigned* count) {
  SIM_NVML_CALL(nvmlDeviceGetCount_v2);
  return PutNumber(count, static_cast<unsigned>(library.machine().visible_count()));
}
SIM_NVML nvmlDeviceGetCount(unsigned* count) { return nvmlDeviceGetCount_v2(count); }

SIM_NVML nvmlDeviceGetHandleByIndex_v2(unsigned index, NvmlDevice** device) {
  SIM_NVML_CALL(nvmlDeviceGetHandleByIndex_v2);
  SIM_NVML_OUT(device);
  if (index >= static_cast<unsigned>(library.machine().visible_count()))
    return kNvmlInvalidArgument;
  return library.HandleOf(library.machine().visible(static_cast<int>(index)), device);
}
SIM_NVML nvmlDeviceGetHandleByIndex(unsigned index, NvmlDevice** device) {
  return nvmlDeviceGetHandleByIndex_v2(index, device);
}

SIM_NVML nvmlDeviceGetHandleByUUID(const char* uuid, NvmlDevice** device) {
  SIM_NVML_CALL(nvmlDeviceGetHandleByUUID);
  SIM_NVML_OUT(uuid);
  return FindCard(library, device, [&](const Card& c) { return strcmp(c.uuid, uuid) == 0; });
}

SIM_NVML nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, NvmlDevice** device) {
  SIM_NVML_CALL(nvmlDeviceGetHandleByPciBusId_v2);
  SIM_NVML_OUT(bus_id);
  unsigned domain = 0, bus = 0, slot = 0;
  if (sscanf(bus_id, "%x:%x:%x", &domain, &bus, &slot) != 3) {
    domain = 0;
    if (sscanf(bus_id, "%x:%x", &bus, &slot) != 2) return kNvmlInvalidArgument;
  }
  return FindCard(library, device, [&](const Card& c) {
    return c.pci_domain == domain && c.pci_bus == bus && c.pci_device == slot;
  });
}
SIM_NVML nvmlDeviceGetHandleByPciBusId(const char* bus_id, NvmlDevice** device) {
  return nvmlDeviceGetHandleByPciBusId_v2(bus_id, device);
}

SIM_NVML nvmlDeviceGetHandleBySerial(const char* serial, NvmlDevice** device) {
  SIM_NVML_CALL(nvmlDeviceGetHandleBySerial);
  SIM_NVML_OUT(serial);
  return FindCard(library, device, [&](const Card& c) {
    char text[16];
    Serial(c, text);
    return strcmp(text, serial) == 0;
  });
}

SIM_NVML nvmlDeviceGetIndex(NvmlDevice* device, unsigned* index) {
  SIM_NVML_CALL(nvmlDeviceGetIndex);
  SIM_NVML_CARD(device);
  return PutNumber(index, static_cast<unsigned>(library.IndexOf(device)));
}

SIM_NVML nvmlDeviceGetMinorNumber(NvmlDevice* device, unsigned* minor) {
  SIM_NVML_CALL(nvmlDeviceGetMinorNumber);
  SIM_NVML_CARD(device);
  return PutNumber(minor, card->minor);
}

SIM_NVML nvmlDeviceGetName(NvmlDevice* device, char* name, unsigned size) {
  SIM_NVML_CALL(nvmlDeviceGetName);
  SIM_NVML_CARD(device);
  return PutText(name, size, card->model);
}

SIM_NVML nvmlDeviceGetUUID(NvmlDevice* device, char* uuid, unsigned size) {
  SIM_NVML_CALL(nvmlDeviceGetUUID);
  SIM_NVML_CARD(device);
  return PutText(uuid, size, card->uuid);
}

SIM_NVML nvmlDeviceGetSerial(NvmlDevice* device, char* serial, unsigned size) {
  SIM_NVML_CALL(nvmlDeviceGetSerial);
  SIM_NVML_CARD(device);
  char text[16];
  Serial(*card, text);
  return PutText(serial, size, text);
}

SIM_NVML nvmlDeviceGetBoardPartNumber(NvmlDevice* device, char* part, unsigned size) {
  SIM_NVML_CALL(nvmlDeviceGetBoardPartNumber);
  SIM_NVML_CARD(device);
  return PutText(part, size, "900-00000-0000-000");
}

SIM_NVML nvmlDeviceGetVbiosVersion(NvmlDevice* device, char* version, unsigned size) {
  SIM_NVML_CALL(nvmlDeviceGetVbiosVersion);
  SIM_NVML_CARD(device);
  return PutText(version, size, "00.00.00.00.00");
}

SIM_NVML nvmlDeviceGetBoardId(NvmlDevice* device, unsigned* id) {
  SIM_NVML_CALL(nvmlDeviceGetBoardId);
  SIM_NVML_CARD(device);
  return PutNumber(id, card->pci_bus << 8 | card->pci_domain);
}

SIM_NVML nvmlDeviceGetMultiGpuBoard(NvmlDevice* device, unsigned* is_multi) {
  SIM_NVML_CALL(nvmlDeviceGetMultiGpuBoard);
  SIM_NVML_CARD(device);
  return PutNumber(is_multi, 0);
}

SIM_NVML nvmlDeviceGetBrand(NvmlDevice* device, unsigned* brand) {
  SIM_NVML_CALL(nvmlDeviceGetBrand);
  SIM_NVML_CARD(device);
  constexpr unsigned kTesla = 2, kGeForce = 5, kNvidia = 14;
  if (strstr(card->model, "GeForce") != nullptr) return PutNumber(brand, kGeForce);
  return PutNumber(brand, strncmp(card->model, "Tesla", 5) == 0 ? kTesla : kNvidia);
}

SIM_NVML nvmlDeviceGetArchitecture(NvmlDevice* device, unsigned* architecture) {
  SIM_NVML_CALL(nvmlDeviceGetArchitecture);
  SIM_NVML_CARD(device);
  return PutNumber(architecture, card->architecture);
}

SIM_NVML nvmlDeviceGetCudaComputeCapability(NvmlDevice* device, int* major, int* minor) {
  SIM_NVML_CALL(nvmlDeviceGetCudaComputeCapability);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(major);
  SIM_NVML_OUT(minor);
  *major = card->cc_major;
  *minor = card->cc_minor;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetNumGpuCores(NvmlDevice* device, unsigned* cores) {
  SIM_NVML_CALL(nvmlDeviceGetNumGpuCores);
  SIM_NVML_CARD(device);
  return PutNumber(cores, card->sm_count * 64);
}

SIM_NVML nvmlDeviceGetPciInfo_v3(NvmlDevice* device, NvmlPciInfo* info) {
  SIM_NVML_CALL(nvmlDeviceGetPciInfo_v3);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(info);
  FillPci(*card, info);
  return kNvmlSuccess;
}
SIM_NVML nvmlDeviceGetPciInfo_v2(NvmlDevice* device, NvmlPciInfo* info) {
  SIM_NVML_CALL(nvmlDeviceGetPciInfo_v2);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(info);
  // v2 ends before the long bus id: char[16], five numbers, four reserved.
  NvmlPciInfo full;
  FillPci(*card, &full);
  memcpy(info, &full, 36);
  return kNvmlSuccess;
}
SIM_NVML nvmlDeviceGetPciInfo(NvmlDevice* device, NvmlPciInfo* info) {
  return nvmlDeviceGetPciInfo_v2(device, info);
}
