#include "services/node/card_keeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "domain/protocol/names.h"

namespace hami::node {

CardKeeper::CardKeeper(Deps deps, const protocol::NodeSettings& settings,
                       driver::HealthOptions health)
    : deps_(std::move(deps)), settings_(settings), health_(std::move(health)) {}

void CardKeeper::OnCards(const Result<std::vector<driver::CardInfo>>& look) {
  std::vector<driver::CardInfo> cards = last_cards_;
  if (look) {
    cards = last_cards_ = *look;
    driver_error_.clear();
  } else {
    SayError(look.error().message);
    for (driver::CardInfo& card : cards) card.fault = look.error().message;
  }
  looked_ = true;
  Tell(health_.OnCards(cards, deps_.executor.clock().Mono()));
  Offer(std::move(cards));
}

void CardKeeper::OnEvents(const std::vector<driver::HealthEvent>& events) {
  for (const driver::HealthEvent& event : events) {
    LOG(kWarn, "driver event").Kv("card", event.uuid).Kv("code", event.code);
    ++driver_events_[event.code];
  }
  Tell(health_.OnEvents(events, deps_.executor.clock().Mono()));
  Offer(last_cards_);
}

void CardKeeper::Forgive(const std::string& uuids) {
  if (uuids == forgiven_) return;
  forgiven_ = uuids;
  for (const std::string& uuid : protocol::SplitList(uuids)) health_.Forgive(uuid);
}

void CardKeeper::SayError(const std::string& error) {
  if (error != driver_error_) {
    LOG(kError, "the driver does not answer").Kv("error", error);
  }
  driver_error_ = error;
}

void CardKeeper::Tell(const std::vector<driver::HealthChange>& changes) {
  for (const driver::HealthChange& change : changes) {
    LOG(kWarn, change.healthy ? "card recovered" : "card is unhealthy")
        .Kv("card", change.uuid)
        .Kv("reason", change.reason);
    deps_.api.EmitEvent(
        deps_.about, !change.healthy, change.healthy ? "GPURecovered" : "GPUUnhealthy",
        "card " + change.uuid + (change.healthy ? " is healthy again" : ": " + change.reason));
  }
}

// Publishes what the cards come to, where it differs from what was published.
void CardKeeper::Offer(std::vector<driver::CardInfo> cards) {
  for (driver::CardInfo& lost : health_.Lost()) {
    const bool listed =
        std::ranges::any_of(cards, [&](const driver::CardInfo& c) { return c.uuid == lost.uuid; });
    if (!listed) cards.push_back(std::move(lost));
  }
  Inventory next = BuildInventory(cards, settings_,
                                  [this](const std::string& uuid) { return health_.Reason(uuid); });
  SayWhatIsMissing(next);
  deps_.offer.Publish(std::move(next));
}

void CardKeeper::SayWhatIsMissing(const Inventory& inventory) {
  for (const std::string& sentence : inventory.left_out) {
    if (said_.insert(sentence).second) {
      LOG(kWarn, sentence);
    }
  }
  for (const std::string& entry : inventory.unmatched) {
    if (said_.insert("unmatched " + entry).second) {
      LOG(kWarn, "filterdevices names a card that this node does not have").Kv("entry", entry);
    }
  }
  if (inventory.cards.empty() && said_.insert("none").second) {
    LOG(kWarn, "No devices found. Waiting indefinitely.");
  }
}

}  // namespace hami::node
