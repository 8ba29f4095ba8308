// The node's side of a region that a container has damaged, by hostile intent or not: read,
// checked, changed and cleaned by a process of root's, within the bounds of the layout.
#include "fuzz/region_image.h"
#include "platform/region/mapped_region.h"
#include "platform/region/verify.h"

using namespace hami;  // NOLINT

namespace {

void CheckBounds(const region::Snapshot& snapshot) {
  FUZZ_CHECK(snapshot.cards.size() <= HAMI_V1_DEVICES);
  FUZZ_CHECK(snapshot.processes.size() <= HAMI_V1_SLOTS);
  for (const auto& process : snapshot.processes) {
    FUZZ_CHECK(process.cards.size() == snapshot.cards.size());
    FUZZ_CHECK(process.slot >= 0 && process.slot < HAMI_V1_SLOTS);
  }
  for (const auto& card : snapshot.cards) FUZZ_CHECK(card.uuid.size() <= HAMI_V1_UUID_SIZE);
}

}  // namespace

FUZZ_TARGET(text) {
  static fuzz::RegionImage image;
  FuzzedDataProvider input(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  image.Write(input);
  const auto snapshot = region::Read(image.path());
  const auto seen = region::MappedRegion::Open(image.path(), false);
  FUZZ_CHECK(snapshot.has_value() == seen.has_value());
  if (!snapshot) return FUZZ_CHECK(!snapshot.error().message.empty());
  CheckBounds(*snapshot);
  region::Verify(*seen);
  auto mapped = region::MappedRegion::Open(image.path(), true);
  const bool cut = snapshot->own_block() && snapshot->file_size < HAMI_REGION_FILE_SIZE;
  FUZZ_CHECK(mapped.has_value() != cut);
  if (cut) return;
  const auto changed = mapped->Change(1, {.memory = ToBytes({5000}), .cores = Percent{30}});
  mapped->Clean();
  mapped->Suspend(true);
  mapped->Suspend(false);
  const region::Snapshot after = mapped->Look();
  CheckBounds(after);
  if (changed) {
    FUZZ_CHECK(after.cards.at(1).limit == ToBytes({5000}) && after.cards[1].cores.value == 30);
  }
}
