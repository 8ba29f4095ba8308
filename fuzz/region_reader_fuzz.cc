// region::Read on a damaged region: an error or a snapshot within the bounds of the layout.
#include "fuzz/region_image.h"
#include "platform/region/region_file.h"

FUZZ_TARGET(text) {
  static hami::fuzz::RegionImage image;
  FuzzedDataProvider input(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  image.Write(input);
  const auto snapshot = hami::region::Read(image.path());
  if (!snapshot) {
    FUZZ_CHECK(!snapshot.error().message.empty());
    return;
  }
  FUZZ_CHECK(snapshot->cards.size() <= HAMI_V1_DEVICES);
  FUZZ_CHECK(snapshot->processes.size() <= HAMI_V1_SLOTS);
  for (const auto& process : snapshot->processes) {
    FUZZ_CHECK(process.cards.size() == snapshot->cards.size());
    FUZZ_CHECK(process.slot >= 0 && process.slot < HAMI_V1_SLOTS);
  }
  for (const auto& card : snapshot->cards) FUZZ_CHECK(card.uuid.size() <= HAMI_V1_UUID_SIZE);
}
