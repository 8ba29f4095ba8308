// CardKeeper: what the driver says of this node's cards, and what they come to for kubelet and the
// cluster. Tells an operator, once each, of cards that are lost, left out or recovered. Lives on
// the state executor.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/executor.h"
#include "domain/protocol/device_config.h"
#include "platform/driver/card_health.h"
#include "services/node/card_offer.h"
#include "services/node/node_api.h"

namespace hami::node {

class CardKeeper {
 public:
  struct Deps {
    Executor& executor;
    NodeApi& api;
    CardOffer& offer;
    EventTarget about;  // the node
  };
  CardKeeper(Deps deps, const protocol::NodeSettings& settings, driver::HealthOptions health);

  // A look at all cards, or why there was none.
  void OnCards(const Result<std::vector<driver::CardInfo>>& look);
  void OnEvents(const std::vector<driver::HealthEvent>& events);
  // An operator has seen to these cards (UUIDs with commas between); said again, it counts for
  // nothing.
  void Forgive(const std::string& uuids);

  bool looked() const { return looked_; }
  // Why the driver does not answer; empty: it does.
  const std::string& driver_error() const { return driver_error_; }
  const std::map<uint64_t, uint64_t>& driver_events() const { return driver_events_; }

 private:
  void SayError(const std::string& error);
  void Tell(const std::vector<driver::HealthChange>& changes);
  void Offer(std::vector<driver::CardInfo> cards);
  void SayWhatIsMissing(const Inventory& inventory);

  const Deps deps_;
  const protocol::NodeSettings& settings_;
  driver::CardHealth health_;
  std::vector<driver::CardInfo> last_cards_;
  std::string driver_error_;
  std::map<uint64_t, uint64_t> driver_events_;  // by code
  bool looked_ = false;
  std::string forgiven_;
  std::set<std::string> said_;  // what is logged once
};

}  // namespace hami::node
