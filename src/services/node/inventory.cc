#include "services/node/inventory.h"

#include <algorithm>

#include "domain/protocol/register_annotation.h"
#include "domain/protocol/virtual_id.h"

namespace hami::node {
namespace {

// One id costs about 70 bytes in ListAndWatch; with this many per node a message stays below 1 MiB,
// a quarter of what kubelet accepts.
constexpr int32_t kMostIds = 10'000;

bool Filtered(const driver::CardInfo& card, const protocol::NodeSettings& settings) {
  return std::ranges::find(settings.filter_uuids, card.uuid) != settings.filter_uuids.end() ||
         std::ranges::find(settings.filter_indexes, int64_t{card.index}) !=
             settings.filter_indexes.end();
}

// None without cards: the driver may not have answered yet.
std::vector<std::string> Unmatched(const std::vector<driver::CardInfo>& cards,
                                   const protocol::NodeSettings& settings) {
  std::vector<std::string> out;
  if (cards.empty()) return out;
  for (const std::string& uuid : settings.filter_uuids) {
    if (std::ranges::find(cards, uuid, &driver::CardInfo::uuid) == cards.end()) {
      out.push_back("uuid " + uuid);
    }
  }
  for (int64_t index : settings.filter_indexes) {
    if (std::ranges::none_of(cards, [&](const auto& card) { return card.index == index; })) {
      out.push_back("index " + std::to_string(index));
    }
  }
  return out;
}

int32_t SplitFor(const protocol::NodeSettings& settings, size_t cards) {
  return std::min<int32_t>(settings.split_count,
                           kMostIds / std::max<int32_t>(1, static_cast<int32_t>(cards)));
}

}  // namespace

const NodeCard* Inventory::Find(std::string_view uuid) const {
  for (const NodeCard& card : cards) {
    if (card.device.id == uuid) return &card;
  }
  return nullptr;
}

Inventory BuildInventory(const std::vector<driver::CardInfo>& cards,
                         const protocol::NodeSettings& settings,
                         const std::function<std::string(const std::string&)>& fault) {
  Inventory out;
  out.unmatched = Unmatched(cards, settings);
  const int32_t split = SplitFor(settings, cards.size());
  for (const driver::CardInfo& card : cards) {
    if (Filtered(card, settings)) {
      out.left_out.push_back("card " + card.uuid + " is left out by filterdevices");
      continue;
    }
    MiB memory = card.memory ? FloorMiB(*card.memory) : settings.preconfigured_memory;
    if (memory.value <= 0) {
      out.left_out.push_back("card " + card.uuid +
                             " does not tell its memory: set preConfiguredDeviceMemory (MiB)");
      continue;
    }
    if (settings.memory_scaling != 1) {
      memory = {static_cast<int32_t>(static_cast<double>(memory.value) * settings.memory_scaling)};
    }
    NodeCard node_card;
    node_card.fault = settings.refusal.empty() ? fault(card.uuid) : settings.refusal;
    node_card.info = card;
    node_card.device = {.id = card.uuid,
                        .index = card.index,
                        .count = split,
                        .memory = memory,
                        .cores = {static_cast<int32_t>(settings.core_scaling * 100)},
                        .type = card.model,
                        .numa = card.numa.value_or(0),
                        .mode = std::string(protocol::OperatingModeText(settings.mode)),
                        .mig_profiles = {},
                        .healthy = node_card.fault.empty(),
                        .vendor = "",
                        .custom_info = nullptr};
    out.cards.push_back(std::move(node_card));
  }
  std::ranges::sort(out.cards, [](const NodeCard& a, const NodeCard& b) {
    return std::tie(a.device.index, a.device.id) < std::tie(b.device.index, b.device.id);
  });
  return out;
}

std::string RegisterValue(const Inventory& inventory) {
  std::vector<Device> devices;
  for (const NodeCard& card : inventory.cards) devices.push_back(card.device);
  return protocol::EncodeRegisterJson(devices);
}

std::vector<kubelet::PluginDevice> KubeletDevices(const Inventory& inventory,
                                                  const protocol::NodeSettings& settings) {
  std::vector<kubelet::PluginDevice> out;
  for (const NodeCard& card : inventory.cards) {
    for (int k = 0; k < card.device.count; ++k) {
      out.push_back({.id = protocol::VirtualId(card.device.id, k),
                     .healthy = card.device.healthy,
                     .numa = settings.numa_topology ? card.info.numa : std::nullopt});
    }
  }
  return out;
}

}  // namespace hami::node
