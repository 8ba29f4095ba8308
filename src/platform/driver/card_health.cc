#include "platform/driver/card_health.h"

#include <set>

namespace hami::driver {
namespace {

constexpr int kGoodLooks = 3;

}  // namespace

std::string_view HealthStateText(HealthState state) {
  switch (state) {
    case HealthState::kHealthy:
      return "healthy";
    case HealthState::kSuspect:
      return "suspect";
    case HealthState::kUnhealthy:
      return "unhealthy";
    case HealthState::kRecovering:
      return "recovering";
  }
  return "unknown";
}

void CardHealth::Look(Entry& entry, const std::string& fault, MonoTime now) {
  if (!fault.empty()) {
    entry.good_looks = 0;
    entry.state =
        entry.state == HealthState::kHealthy ? HealthState::kSuspect : HealthState::kUnhealthy;
    entry.reason = fault;
    return;
  }
  if (entry.state == HealthState::kHealthy) return;
  if (entry.state == HealthState::kSuspect) {
    entry.state = HealthState::kHealthy;
    entry.reason.clear();
    return;
  }
  const bool had_event = entry.last_event != MonoTime{};
  if (entry.lasting) return;
  if (had_event &&
      (options_.recovery == Duration{0} || now - entry.last_event < options_.recovery)) {
    return;
  }
  entry.state = HealthState::kRecovering;
  if (++entry.good_looks < kGoodLooks) return;
  entry = Entry{.card = entry.card};
}

std::vector<HealthChange> CardHealth::OnCards(const std::vector<CardInfo>& cards, MonoTime now) {
  std::vector<HealthChange> changes;
  std::set<std::string> seen;
  for (const CardInfo& card : cards) {
    seen.insert(card.uuid);
    auto [it, added] = cards_.try_emplace(card.uuid);
    Entry& entry = it->second;
    const bool before = !added && Outside(entry);
    entry.card = card;
    entry.lost = false;
    // A card that is faulty when first seen was never healthy.
    if (added && options_.check_faults && !card.fault.empty()) entry.state = HealthState::kSuspect;
    Look(entry, options_.check_faults ? card.fault : "", now);
    if (!added && before != Outside(entry)) {
      changes.push_back({card.uuid, Outside(entry), entry.reason});
    }
  }
  for (auto it = cards_.begin(); it != cards_.end();) {
    Entry& entry = it->second;
    if (seen.contains(it->first)) {
      ++it;
      continue;
    }
    if (!entry.lost) {
      const bool before = Outside(entry);
      entry.lost = true;
      entry.lost_since = now;
      entry.good_looks = 0;
      entry.state = HealthState::kUnhealthy;
      entry.reason = "lost: the driver does not list it any more";
      if (before) changes.push_back({it->first, false, entry.reason});
    } else if (now - entry.lost_since > options_.keep_lost) {
      it = cards_.erase(it);
      continue;
    }
    ++it;
  }
  return changes;
}

std::vector<HealthChange> CardHealth::OnEvents(const std::vector<HealthEvent>& events,
                                               MonoTime now) {
  std::vector<HealthChange> changes;
  for (const HealthEvent& event : events) {
    const EventClass kind =
        options_.classify ? options_.classify(event.code) : EventClass::kTransient;
    if (kind == EventClass::kApplication) continue;
    for (auto& [uuid, entry] : cards_) {
      if (!event.uuid.empty() && event.uuid != uuid) continue;
      const bool before = Outside(entry);
      entry.state = HealthState::kUnhealthy;
      entry.lasting = entry.lasting || kind == EventClass::kLasting;
      entry.last_event = now;
      entry.good_looks = 0;
      entry.reason = "driver event " + std::to_string(event.code) +
                     (kind == EventClass::kLasting ? ", needs a reset" : "");
      if (before) changes.push_back({uuid, false, entry.reason});
    }
  }
  return changes;
}

void CardHealth::Forgive(const std::string& uuid) {
  auto it = cards_.find(uuid);
  if (it == cards_.end()) return;
  it->second.lasting = false;
  it->second.last_event = MonoTime{};
}

bool CardHealth::Healthy(const std::string& uuid) const {
  auto it = cards_.find(uuid);
  return it != cards_.end() && Outside(it->second);
}

std::string CardHealth::Reason(const std::string& uuid) const {
  auto it = cards_.find(uuid);
  return it == cards_.end() || Outside(it->second) ? "" : it->second.reason;
}

HealthState CardHealth::StateOf(const std::string& uuid) const {
  auto it = cards_.find(uuid);
  return it == cards_.end() ? HealthState::kHealthy : it->second.state;
}

std::vector<CardInfo> CardHealth::Lost() const {
  std::vector<CardInfo> lost;
  for (const auto& [uuid, entry] : cards_) {
    if (entry.lost) lost.push_back(entry.card);
  }
  return lost;
}

}  // namespace hami::driver
