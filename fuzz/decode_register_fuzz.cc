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
  // In the form in which it came: text that is no UTF-8 can stand in form C alone.
  const bool is_json = text.find_first_not_of(" \t\r\n") == text.find('[');
  const std::string written =
      is_json ? protocol::EncodeRegisterJson(*devices) : protocol::EncodeRegisterCsv(*devices);
  const auto again = protocol::DecodeRegister(written);
  FUZZ_CHECK(again.has_value() && *again == *devices);
  const auto scores = protocol::DecodePairScores(text, *devices);
  if (scores) FUZZ_CHECK(scores->size() == devices->size() * devices->size());
}
