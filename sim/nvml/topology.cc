// How the cards are connected: PCIe distance, NVLink, NUMA.
#include <cstdio>

#include "sim/nvml/library.h"

using namespace hami::sim;  // NOLINT: only exported C functions below

namespace {

constexpr unsigned kMaxLinks = 18;
constexpr unsigned kRemoteGpu = 0, kRemoteSwitch = 2;

// The other end of a card's n-th link: links to peers in order of the cards, then those to
// switches.
struct LinkEnd {
  bool exists = false;
  int peer = -1;  // -1: a switch
  unsigned switch_number = 0;
};

unsigned LinkCount(const CardSet& set, int card) {
  unsigned links = set.cards[card].nvswitch_links;
  for (int peer = 0; peer < set.count; ++peer) links += set.nvlinks[card][peer];
  return links;
}

LinkEnd FindLink(const CardSet& set, int card, unsigned link) {
  for (int peer = 0; peer < set.count; ++peer) {
    if (link < set.nvlinks[card][peer]) return {true, peer, 0};
    link -= set.nvlinks[card][peer];
  }
  if (link < set.cards[card].nvswitch_links) return {true, -1, link % 4};
  return {};
}

int CheckLink(const CardSet& set, int card, unsigned link) {
  if (link >= kMaxLinks) return kNvmlInvalidArgument;
  return LinkCount(set, card) == 0 ? kNvmlNotSupported : kNvmlSuccess;
}

}  // namespace

SIM_NVML nvmlDeviceGetTopologyCommonAncestor(NvmlDevice* a, NvmlDevice* b, unsigned* level) {
  SIM_NVML_CALL(nvmlDeviceGetTopologyCommonAncestor);
  SIM_NVML_CARD(a);
  const Card* other = nullptr;
  if (const int code = library.Resolve(b, &other); code != 0) return code;
  SIM_NVML_OUT(level);
  (void)card;
  *level = static_cast<unsigned>(library.machine().cards().level[a->card][b->card]);
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetP2PStatus(NvmlDevice* a, NvmlDevice* b, unsigned index, unsigned* status) {
  SIM_NVML_CALL(nvmlDeviceGetP2PStatus);
  SIM_NVML_CARD(a);
  const Card* other = nullptr;
  if (const int code = library.Resolve(b, &other); code != 0) return code;
  SIM_NVML_OUT(status);
  (void)card;
  constexpr unsigned kCapabilityNvlink = 2, kOk = 0, kNotSupported = 5;
  const bool linked = library.machine().cards().nvlinks[a->card][b->card] != 0;
  *status = index == kCapabilityNvlink && !linked ? kNotSupported : kOk;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetNvLinkState(NvmlDevice* device, unsigned link, unsigned* active) {
  SIM_NVML_CALL(nvmlDeviceGetNvLinkState);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(active);
  const CardSet& set = library.machine().cards();
  if (const int code = CheckLink(set, device->card, link); code != 0) return code;
  *active = FindLink(set, device->card, link).exists ? 1 : 0;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetNvLinkRemotePciInfo_v2(NvmlDevice* device, unsigned link, NvmlPciInfo* info) {
  SIM_NVML_CALL(nvmlDeviceGetNvLinkRemotePciInfo_v2);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(info);
  const CardSet& set = library.machine().cards();
  if (const int code = CheckLink(set, device->card, link); code != 0) return code;
  const LinkEnd end = FindLink(set, device->card, link);
  if (!end.exists) return kNvmlNotSupported;
  Card remote;
  remote.pci_domain = 0;
  remote.pci_bus = 0xf0 + end.switch_number;
  remote.pci_device_id = 0x1af110de;  // an NVSwitch
  if (end.peer >= 0) remote = set.cards[end.peer];
  *info = NvmlPciInfo{};
  info->domain = remote.pci_domain;
  info->bus = remote.pci_bus;
  info->device = remote.pci_device;
  info->pci_device_id = remote.pci_device_id;
  snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:%02X.0", remote.pci_domain, remote.pci_bus,
           remote.pci_device);
  snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:%02X.0",
           remote.pci_domain & 0xffff, remote.pci_bus & 0xff, remote.pci_device & 0xff);
  return kNvmlSuccess;
}
SIM_NVML nvmlDeviceGetNvLinkRemotePciInfo(NvmlDevice* device, unsigned link, NvmlPciInfo* info) {
  return nvmlDeviceGetNvLinkRemotePciInfo_v2(device, link, info);
}

SIM_NVML nvmlDeviceGetNvLinkRemoteDeviceType(NvmlDevice* device, unsigned link, unsigned* type) {
  SIM_NVML_CALL(nvmlDeviceGetNvLinkRemoteDeviceType);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(type);
  const CardSet& set = library.machine().cards();
  if (const int code = CheckLink(set, device->card, link); code != 0) return code;
  const LinkEnd end = FindLink(set, device->card, link);
  if (!end.exists) return kNvmlNotSupported;
  *type = end.peer >= 0 ? kRemoteGpu : kRemoteSwitch;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetNvLinkVersion(NvmlDevice* device, unsigned link, unsigned* version) {
  SIM_NVML_CALL(nvmlDeviceGetNvLinkVersion);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(version);
  const CardSet& set = library.machine().cards();
  if (const int code = CheckLink(set, device->card, link); code != 0) return code;
  *version = 3;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetNvLinkCapability(NvmlDevice* device, unsigned link, unsigned,
                                       unsigned* result) {
  SIM_NVML_CALL(nvmlDeviceGetNvLinkCapability);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(result);
  const CardSet& set = library.machine().cards();
  if (const int code = CheckLink(set, device->card, link); code != 0) return code;
  *result = 1;
  return kNvmlSuccess;
}

SIM_NVML nvmlDeviceGetNumaNodeId(NvmlDevice* device, unsigned* node) {
  SIM_NVML_CALL(nvmlDeviceGetNumaNodeId);
  SIM_NVML_CARD(device);
  SIM_NVML_OUT(node);
  if (card->numa < 0) return kNvmlNotSupported;
  *node = static_cast<unsigned>(card->numa);
  return kNvmlSuccess;
}
