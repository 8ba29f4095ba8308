// DecodeAllocation: canonical form is a fixed point, no share is negative, alignment keeps size.
#include <algorithm>

#include "domain/protocol/allocation.h"
#include "fuzz/fuzz.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  const auto shares = protocol::DecodeAllocation(text);
  if (!shares) {
    FUZZ_CHECK(!shares.error().message.empty());
    return;
  }
  for (const auto& container : *shares) {
    for (const DeviceShare& share : container) {
      FUZZ_CHECK(share.memory.value >= 0 && share.cores.value >= 0);
      FUZZ_CHECK(protocol::IsUsableDeviceId(share.uuid));
      FUZZ_CHECK(share.uuid.starts_with(protocol::PhysicalUuid(share.uuid)));
    }
  }
  const std::string written = protocol::EncodeAllocation(*shares);
  const auto again = protocol::DecodeAllocation(written);
  FUZZ_CHECK(again.has_value() && *again == *shares);

  const auto pending = protocol::FirstPending(*shares);
  if (pending) FUZZ_CHECK(protocol::WithoutEntry(*shares, *pending).size() == shares->size());
  for (size_t containers : {0, 1, 3}) {
    std::vector<bool> requests(containers, true);
    if (containers > 1) requests[1] = false;
    FUZZ_CHECK(protocol::AlignToContainers(*shares, requests).size() == containers);
  }
}
