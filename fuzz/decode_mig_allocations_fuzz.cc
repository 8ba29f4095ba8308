// DecodeMigAllocations: whatever is accepted is valid, and comes back from its own encoding.
#include "domain/protocol/mig_allocation.h"
#include "fuzz/fuzz.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  const auto allocations = protocol::DecodeMigAllocations(text);
  if (!allocations) return;
  FUZZ_CHECK(protocol::ValidateMigAllocations(*allocations).has_value());
  const auto again = protocol::DecodeMigAllocations(protocol::EncodeMigAllocations(*allocations));
  FUZZ_CHECK(again.has_value() && *again == *allocations);
}
