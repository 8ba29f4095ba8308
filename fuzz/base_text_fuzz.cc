// The small texts of src/base: quantities, durations, base64.
#include "base/base64.h"
#include "base/duration.h"
#include "base/quantity.h"
#include "fuzz/fuzz.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  const auto quantity = ParseQuantity(text);
  if (quantity && quantity->integral && !quantity->saturated) {
    const auto again = ParseQuantity(std::to_string(quantity->value));
    FUZZ_CHECK(again.has_value() && again->value == quantity->value);
  }
  const auto duration = ParseDuration(text);
  if (duration) {
    const auto again = ParseDuration(FormatDuration(*duration));
    FUZZ_CHECK(again.has_value());
    // A double holds 53 bits: exact up to 104 days.
    const int64_t ns = duration->count();
    if (ns > -(int64_t{1} << 53) && ns < int64_t{1} << 53) FUZZ_CHECK(*again == *duration);
  }
  const auto decoded = DecodeBase64(text);
  if (decoded) FUZZ_CHECK(DecodeBase64(EncodeBase64(*decoded)) == *decoded);
  FUZZ_CHECK(DecodeBase64(EncodeBase64(text)) == text);
}
