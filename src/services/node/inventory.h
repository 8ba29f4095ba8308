// Inventory: from cards to what the cluster and kubelet are told of them (spec/device-plugin.md 4,
// 5). Pure, any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "domain/model/device.h"
#include "domain/protocol/device_config.h"
#include "platform/driver/card_info.h"
#include "platform/kubelet/types.h"

namespace hami::node {

struct NodeCard {
  Device device;  // as registered
  driver::CardInfo info;
  std::string fault;  // why it is unhealthy
};

struct Inventory {
  std::vector<NodeCard> cards;         // sorted by index, then id
  std::vector<std::string> left_out;   // one sentence per card that is not offered
  std::vector<std::string> unmatched;  // entries of filterdevices that name no card of this node
  const NodeCard* Find(std::string_view uuid) const;
};

// `fault(uuid)` is "" for a healthy card. With `settings.refusal` every card is unhealthy for that
// reason: known to the cluster, so that what runs there stays charged, and given to nobody.
Inventory BuildInventory(const std::vector<driver::CardInfo>& cards,
                         const protocol::NodeSettings& settings,
                         const std::function<std::string(const std::string&)>& fault);

// Value of the register annotation; "[]" without cards, so that nobody goes on placing Pods on what
// was there before (trap 6).
std::string RegisterValue(const Inventory& inventory);

// Ids for kubelet: `split` per card.
std::vector<kubelet::PluginDevice> KubeletDevices(const Inventory& inventory,
                                                  const protocol::NodeSettings& settings);

}  // namespace hami::node
