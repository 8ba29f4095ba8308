// CardOffer: what kubelet and the cluster are told of this node's cards, in the order that keeps
// Pods from being placed where kubelet would refuse them.
//
// A Pod that is bound while kubelet has no list of ours ends as UnexpectedAdmissionError. So the
// cluster is told of cards once kubelet has their list, and when the plugin ends in order its last
// words are that they are unhealthy. A plugin that is killed has no last words. Lives on the state
// executor.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "domain/protocol/device_config.h"
#include "platform/kubelet/resource_endpoint.h"
#include "services/node/inventory.h"
#include "services/node/registrar.h"

namespace hami::node {

struct CardOfferOptions {
  kubelet::EndpointOptions endpoint;
  std::string register_key;
  protocol::NodeSettings settings;
  Duration kubelet_grace = std::chrono::seconds(5);  // then the cluster is told anyway
};

class CardOffer {
 public:
  // All must outlive it.
  CardOffer(Executor& executor, Registrar& registrar, kubelet::DevicePluginHandler& handler,
            CardOfferOptions options);

  // Tells both, where it differs from what they were told.
  void Publish(Inventory inventory);
  // Last words, and no work of ours on the executor from here on; Registrar::in_step says when they
  // are said.
  void Withdraw();
  // kubelet's side, for who wants to end it elsewhere: its end waits for calls in flight.
  std::unique_ptr<kubelet::ResourceEndpoint> TakeEndpoint() { return std::move(endpoint_); }

  const Inventory& inventory() const { return inventory_; }
  // Empty while there is no card to offer.
  std::optional<kubelet::EndpointStatus> status() const;
  bool WaitsForKubelet() const { return timer_ != 0; }

 private:
  void TellCluster();
  bool KubeletKnows();

  Executor& executor_;
  Registrar& registrar_;
  kubelet::DevicePluginHandler& handler_;
  const CardOfferOptions options_;
  Inventory inventory_;
  std::unique_ptr<kubelet::ResourceEndpoint> endpoint_;
  std::optional<MonoTime> waits_since_;
  bool kubelet_knew_ = false;  // once is enough: kubelet's own restarts are kubelet's to handle
  bool withdrawn_ = false;
  Executor::TimerId timer_ = 0;
};

}  // namespace hami::node
