// cards.yaml: any text is read within its bounds or refused with line and expectation.
#include <cstring>
#include <memory>

#include "fuzz/fuzz.h"
#include "sim/core/cards.h"

using namespace hami::sim;  // NOLINT

FUZZ_TARGET(text) {
  const auto set = std::make_unique<CardSet>();
  ReadError error;
  if (!ParseCards(text.data(), text.size(), *set, error)) {
    FUZZ_CHECK(error.text[0] != '\0' && memchr(error.text, 0, sizeof error.text) != nullptr);
    return;
  }
  FUZZ_CHECK(set->count >= 0 && set->count <= kMaxCards);
  FUZZ_CHECK(set->fault_count >= 0 && set->fault_count <= kMaxFaults);
  for (int i = 0; i < set->count; ++i) {
    const Card& card = set->cards[i];
    FUZZ_CHECK(memchr(card.model, 0, sizeof card.model) != nullptr);
    FUZZ_CHECK(strlen(card.uuid) == kUuidTextSize - 1);
    FUZZ_CHECK(card.health_count <= kMaxHealthSteps);
    FUZZ_CHECK(card.memory_bytes > 0);
    HealthAt(*set, card, INT64_MAX);
  }
}
