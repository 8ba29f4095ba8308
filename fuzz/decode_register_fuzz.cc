// DecodeRegister: what is read can be written, and what is written reads the same.
#include "domain/protocol/register_annotation.h"
#include "fuzz/fuzz.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  const auto devices = protocol::DecodeRegister(text);
  if (!devices) {
    FUZZ_CHECK(!devices.error().message.empty());
    return;
  }
  FUZZ_CHECK(!devices->empty());
  const std::string json = protocol::EncodeRegisterJson(*devices);
  const auto again = protocol::DecodeRegister(json);
  FUZZ_CHECK(again.has_value());
  // Invalid UTF-8 cannot stand in JSON: only form J is sure to come back as it was, the other from
  // the second time on.
  FUZZ_CHECK(protocol::DecodeRegister(protocol::EncodeRegisterJson(*again)) == again);
  if (text.front() == '[') FUZZ_CHECK(*again == *devices);
  const auto scores = protocol::DecodePairScores(text, *devices);
  if (scores) FUZZ_CHECK(scores->size() == devices->size() * devices->size());
}
