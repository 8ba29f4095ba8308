// limits.ro: a damaged page is refused or read within its bounds, and what was read can be written.
#include <cstring>

#include "abi/limits_page.h"
#include "fuzz/fuzz.h"
#include "platform/region/limits_file.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  static const std::string sound = *region::EncodeLimits(
      {.region_path = "/usr/local/vgpu/r.cache",
       .cards = {{.uuid = "GPU-0", .memory = ToBytes({3000}), .initial_memory = ToBytes({3000})},
                 {.uuid = "GPU-1", .cores = {30}, .initial_cores = {30}}}});
  FuzzedDataProvider input(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  std::string bytes = sound;
  const int changes = input.ConsumeIntegralInRange(0, 12);
  for (int i = 0; i < changes; ++i) {
    const auto at = input.ConsumeIntegralInRange<size_t>(0, bytes.size() / 4 - 1) * 4;
    const auto value = input.ConsumeIntegral<uint32_t>();
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  if (input.ConsumeIntegralInRange(0, 7) == 0) {
    bytes.resize(input.ConsumeIntegralInRange<size_t>(0, bytes.size() + 8));
  }
  const auto page = region::DecodeLimits(bytes);
  if (!page) return FUZZ_CHECK(page.error().code == Code::kDataLoss);
  FUZZ_CHECK(page->cards.size() <= HAMI_LIMITS_DEVICES);
  const auto written = region::EncodeLimits(*page);
  if (!written) return;
  const auto again = region::DecodeLimits(*written);
  FUZZ_CHECK(again.has_value() && region::EncodeLimits(*again) == written);
}
