// DecodePairScores: always a full matrix, and encode(decode(x)) is a fixed point.
#include "domain/protocol/register_annotation.h"
#include "fuzz/fuzz.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  std::vector<Device> devices(3);
  for (size_t i = 0; i < devices.size(); ++i) devices[i].id = "GPU-" + std::to_string(i);
  const auto scores = protocol::DecodePairScores(text, devices);
  if (!scores) return;
  FUZZ_CHECK(scores->size() == devices.size() * devices.size());
  const std::string written = protocol::EncodePairScores(devices, *scores);
  const auto again = protocol::DecodePairScores(written, devices);
  FUZZ_CHECK(again.has_value());
  FUZZ_CHECK(protocol::EncodePairScores(devices, *again) == written);
}
