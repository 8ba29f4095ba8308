// CardHealth: from a driver's faults and events to "may containers be put here", per card
// (spec/device-plugin.md 9, spec/companions.md 9.2). Pure: times are given. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "platform/driver/card_info.h"

namespace hami::driver {

// What an event says about the card.
enum class EventClass : uint8_t {
  kApplication,  // a program's own fault: ignored
  kTransient,    // may pass by itself
  kLasting,      // needs a reset of the card
};

enum class HealthState : uint8_t { kHealthy, kSuspect, kUnhealthy, kRecovering };
std::string_view HealthStateText(HealthState state);

struct HealthOptions {
  Duration recovery = std::chrono::seconds(300);  // after a transient event; 0: never by itself
  Duration keep_lost = std::chrono::minutes(10);  // a vanished card is listed so long
  bool check_faults = true;
  std::function<EventClass(uint64_t code)> classify;  // empty: every event is transient
};

struct HealthChange {
  std::string uuid;
  bool healthy = false;
  std::string reason;
  bool operator==(const HealthChange&) const = default;
};

class CardHealth {
 public:
  explicit CardHealth(HealthOptions options) : options_(std::move(options)) {}

  // A look at all cards. One fault makes a card suspect (still healthy outside), two in a row
  // unhealthy, three good looks in a row healthy again.
  std::vector<HealthChange> OnCards(const std::vector<CardInfo>& cards, MonoTime now);
  std::vector<HealthChange> OnEvents(const std::vector<HealthEvent>& events, MonoTime now);
  // An operator says that the card has been seen to; the next good looks decide.
  void Forgive(const std::string& uuid);

  bool Healthy(const std::string& uuid) const;
  // Why it is not, "" when it is.
  std::string Reason(const std::string& uuid) const;
  HealthState StateOf(const std::string& uuid) const;
  // Cards seen before and not in the last look, for as long as they are kept: listed, unhealthy.
  std::vector<CardInfo> Lost() const;

 private:
  struct Entry {
    CardInfo card;
    HealthState state = HealthState::kHealthy;
    std::string reason;
    bool lasting = false;
    bool lost = false;
    int good_looks = 0;
    MonoTime last_event{};
    MonoTime lost_since{};
  };
  static bool Outside(const Entry& entry) {
    return entry.state == HealthState::kHealthy || entry.state == HealthState::kSuspect;
  }
  void Look(Entry& entry, const std::string& fault, MonoTime now);

  HealthOptions options_;
  std::map<std::string, Entry> cards_;
};

}  // namespace hami::driver
