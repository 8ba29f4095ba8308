#include "services/node/card_offer.h"

#include <utility>

#include "base/log.h"

namespace hami::node {
namespace {

constexpr Duration kLookAtKubelet = std::chrono::milliseconds(50);

}  // namespace

CardOffer::CardOffer(Executor& executor, Registrar& registrar,
                     kubelet::DevicePluginHandler& handler, CardOfferOptions options)
    : executor_(executor), registrar_(registrar), handler_(handler), options_(std::move(options)) {}

void CardOffer::Publish(Inventory inventory) {
  inventory_ = std::move(inventory);
  if (!endpoint_ && !inventory_.cards.empty()) {
    if (options_.endpoint.kubelet_socket.empty()) {
      LOG(kInfo, "Skipping registration with Kubelet");
    }
    endpoint_ = std::make_unique<kubelet::ResourceEndpoint>(options_.endpoint, handler_);
  }
  if (endpoint_) endpoint_->Publish(KubeletDevices(inventory_, options_.settings));
  if (timer_ == 0) TellCluster();
}

void CardOffer::TellCluster() {
  timer_ = 0;
  if (withdrawn_) return;
  if (KubeletKnows()) {
    return registrar_.Want(options_.register_key, RegisterValue(inventory_));
  }
  timer_ = executor_.PostAfter(kLookAtKubelet, [this] { TellCluster(); });
}

bool CardOffer::KubeletKnows() {
  if (kubelet_knew_ || !endpoint_ || options_.endpoint.kubelet_socket.empty()) return true;
  const MonoTime now = executor_.clock().Mono();
  if (!waits_since_) waits_since_ = now;
  kubelet_knew_ = endpoint_->status().streams > 0 || now - *waits_since_ >= options_.kubelet_grace;
  return kubelet_knew_;
}

void CardOffer::Withdraw() {
  withdrawn_ = true;
  if (timer_ != 0) executor_.Cancel(std::exchange(timer_, 0));
  Inventory withdrawn = inventory_;
  for (NodeCard& card : withdrawn.cards) card.device.healthy = false;
  registrar_.Leave(options_.register_key, RegisterValue(withdrawn));
}

std::optional<kubelet::EndpointStatus> CardOffer::status() const {
  if (!endpoint_) return std::nullopt;
  return endpoint_->status();
}

}  // namespace hami::node
