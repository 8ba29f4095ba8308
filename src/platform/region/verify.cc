#include "platform/region/verify.h"

#include <optional>
#include <set>

#include "limiter/region/account.h"
#include "platform/region/layout.h"

namespace hami::region {
namespace {

using Books = limiter::region::Account<>;

constexpr int kReadAttempts = 200;

std::string Text(uint64_t number) { return std::to_string(number); }

class Findings {
 public:
  void Problem(std::string what) { all_.push_back({Severity::kProblem, std::move(what)}); }
  void Note(std::string what) { all_.push_back({Severity::kNote, std::move(what)}); }
  std::vector<Finding> Take() { return std::move(all_); }

 private:
  std::vector<Finding> all_;
};

// One card's books, read while nobody changed them.
struct CardBooks {
  uint64_t total = 0;
  uint64_t held = 0;     // kinds of all slots in use
  uint64_t pending = 0;  // begun and not finished
};

// Nothing: they change faster than they can be read.
std::optional<CardBooks> ReadBooks(HamiRegion& region, unsigned card) {
  HamiExtDevice& device = region.ext.header.devices[card];
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    const uint64_t before = Books::Load(device.used_total);
    CardBooks books{.total = limiter::region::BytesOf(before)};
    bool still = true;
    const unsigned count = Books::SlotCount(region);
    for (unsigned i = 0; i < count; ++i) {
      HamiExtSlot& slot = region.ext.slots[i];
      if (Books::LoadState(slot) == HAMI_SLOT_FREE) continue;
      const uint64_t pending = Books::Load(slot.pending[card]);
      for (uint64_t& bytes : slot.device[card].bytes) books.held += Books::Load(bytes);
      books.pending += limiter::region::BytesOf(pending);
      still = still && Books::Load(slot.pending[card]) == pending;
    }
    if (still && Books::Load(device.used_total) == before) return books;
  }
  return std::nullopt;
}

void CheckPrefix(const Snapshot& look, const WordReader& words, Findings& findings) {
  const PrefixLayout& prefix = PrefixOf(look.layout);
  const auto cards = words.At<uint64_t>(prefix.device_num);
  if (cards > HAMI_V1_DEVICES) {
    findings.Problem("device_num is " + Text(cards) + ", expected at most " +
                     Text(HAMI_V1_DEVICES));
  }
  const auto slots = words.At<int32_t>(prefix.proc_num);
  if (slots < 0 || slots > HAMI_V1_SLOTS) {
    findings.Problem("proc_num is " + std::to_string(slots) + ", expected 0 to " +
                     Text(HAMI_V1_SLOTS));
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < look.cards.size(); ++i) {
    const std::string& uuid = look.cards[i].uuid;
    if (uuid.size() == HAMI_V1_UUID_SIZE) findings.Problem("card " + Text(i) + ": endless uuid");
    if (!uuid.empty() && !seen.insert(uuid).second) {
      findings.Problem("card " + Text(i) + ": uuid " + uuid + " stands there twice");
    }
  }
}

void CheckHeader(const MappedRegion& region, const Snapshot& look, Findings& findings) {
  if (look.file_size != HAMI_REGION_FILE_SIZE) {
    findings.Problem("the file is " + Text(look.file_size) + " bytes long, expected " +
                     Text(HAMI_REGION_FILE_SIZE));
  }
  if (!region.known_block()) {
    findings.Note("its own block is of version " + Text(look.own_major) + "." +
                  Text(look.own_minor) +
                  " with a geometry that this build does not know: sums are not checked");
    return;
  }
  HamiExtHeader& header = region.words().ext.header;
  if ((Books::Load(header.limits_seq) & 1) != 0) {
    findings.Problem("limits_seq is odd: whoever wrote limits last died half-way; set them again");
  }
  if (header.saturated != 0) {
    findings.Problem(Text(header.saturated) + " subtractions would have gone below zero");
  }
  if (header.unaccounted != 0) {
    findings.Note("the driver took more than could be reserved, " + Text(header.unaccounted) +
                  " times");
  }
}

void CheckCard(const MappedRegion& region, const CardUsage& card, unsigned index,
               Findings& findings) {
  const std::string name = "card " + Text(index) + ": ";
  const auto books = ReadBooks(region.words(), index);
  if (!books) {
    findings.Note(name + "changes faster than it can be read: its sum is not checked");
    return;
  }
  const uint64_t most = books->held + books->pending;
  if (books->total < books->held) {
    findings.Problem(name + "total " + Text(books->total) + " is below what its processes hold, " +
                     Text(books->held));
  } else if (books->total > most) {
    findings.Problem(name + "total " + Text(books->total) + " is above what its processes hold, " +
                     Text(most) + ": repaired before the next refusal, or by clean");
  }
  const auto limit = static_cast<uint64_t>(card.limit.value);
  if (limit != 0 && books->total > limit) {
    findings.Note(name + "uses " + Text(books->total - limit) +
                  " bytes more than its limit of now: new requests are refused until it is below");
  }
}

// What old readers see is changed within the owner's operations, which `pending` counts: between
// two equal readings of it with nothing begun, both must say the same.
void CheckMirror(HamiRegion& region, unsigned index, unsigned card, Findings& findings) {
  HamiExtSlot& slot = region.ext.slots[index];
  const uint64_t before = Books::Load(slot.pending[card]);
  uint64_t held = 0;
  for (uint64_t& bytes : slot.device[card].bytes) held += Books::Load(bytes);
  const uint64_t shown = Books::Load(region.v1.procs[index].used[card].total);
  const bool at_rest =
      limiter::region::BytesOf(before) == 0 && Books::Load(slot.pending[card]) == before;
  if (!at_rest || shown == held || Books::LoadState(slot) != HAMI_SLOT_LIVE) return;
  findings.Problem("slot " + Text(index) + ", card " + Text(card) + ": old readers see " +
                   Text(shown) + " bytes, it holds " + Text(held));
}

void CheckProcesses(const MappedRegion& region, const Snapshot& look, Findings& findings) {
  const bool sums = region.known_block();
  int64_t dead_bytes = 0;
  int dead = 0, lost = 0, unknown = 0;
  for (const ProcessUsage& process : look.processes) {
    switch (region.LifeOf(process)) {
      case ProcessLife::kDead:
        ++dead;
        for (const ProcessCard& card : process.cards) dead_bytes += card.Total().value;
        break;
      case ProcessLife::kLockLost:
        ++lost;
        break;
      case ProcessLife::kUnknown:
        ++unknown;
        break;
      case ProcessLife::kAlive:
        break;
    }
    for (unsigned card = 0; sums && process.ours && card < process.cards.size(); ++card) {
      CheckMirror(region.words(), static_cast<unsigned>(process.slot), card, findings);
    }
  }
  if (dead > 0) {
    findings.Note(std::to_string(dead) + " slots of dead processes hold " +
                  std::to_string(dead_bytes) +
                  " bytes: given back before the next refusal, or by clean");
  }
  if (lost > 0) findings.Note(std::to_string(lost) + " processes live and have lost their lock");
  if (unknown > 0) {
    findings.Note(std::to_string(unknown) +
                  " processes are in a pid namespace that cannot be seen from here");
  }
}

}  // namespace

std::vector<Finding> Verify(const MappedRegion& region) {
  Findings findings;
  const Snapshot look = region.Look();
  CheckPrefix(look, region.Words(), findings);
  if (look.own_block()) {
    CheckHeader(region, look, findings);
    for (unsigned i = 0; region.known_block() && i < look.cards.size(); ++i) {
      CheckCard(region, look.cards[i], i, findings);
    }
  } else {
    findings.Note("made by a reference's library (" + std::string(LayoutName(look.layout)) +
                  "): it has no totals to check");
  }
  CheckProcesses(region, look, findings);
  return findings.Take();
}

}  // namespace hami::region
