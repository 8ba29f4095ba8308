// The arithmetic of the shared account: lock-free, exact under concurrency and kill -9.
//
// Words of one device: `used_total` (container-wide), and in each slot `pending` (begun, not
// finished) and `bytes[kind]`. The order of writes keeps two promises at every instant, also when a
// process dies between any two of them (docs/formats/region.md, "The account"):
//   1. used_total is never below what living processes hold or have reserved;
//   2. the sum of (pending + bytes) over living slots is never below that either,
// so a total that a dead process left too high may be lowered to that sum.
//
// Every function may be called by any thread of any process that maps the region. The total is
// changed by compare-and-swap. A slot's words are written by threads of its owner only (or by its
// reaper once it is dead): by plain stores, under a lock of that process's own, which nobody else
// can wait for. Step::At is called before each access to a shared word, Step::Known with all that a
// loop has learned so far: nothing in the library, a scheduler in the model test.
#pragma once

#include <atomic>
#include <cstdint>

#include "abi/region.h"
#include "limiter/sys/spin.h"

namespace hami::limiter::region {

struct NoStep {
  using Turn = sys::ShortLock;
  static void At(const void*) {}
  template <class... Values>
  static void Known(Values...) {}
};

// Requests of this size and above cannot be real memory and would spoil the tags.
inline constexpr uint64_t kAbsurdBytes = uint64_t{1} << 46;

inline uint64_t BytesOf(uint64_t tagged) { return tagged & HAMI_BYTES_MASK; }

template <class Step = NoStep>
class Account {
 public:
  // The words of one device of the container and of one process's slot. `mirror` is the same
  // process's entry in the version 1 prefix; `turn` is for the threads of that process.
  using Turn = typename Step::Turn;
  struct Words {
    HamiExtHeader* header;
    HamiExtDevice* device;
    HamiExtSlotDevice* own;
    uint64_t* pending;
    HamiV1Used* mirror;
    Turn* turn;
  };

  // Reserves `bytes` if the container stays within `limit` (0: none). Refused: nothing changed.
  static bool Begin(const Words& words, uint64_t bytes, uint64_t limit) {
    const sys::Guard turn(*words.turn);
    Announce(words, bytes);
    if (RaiseTotal(words, bytes, limit)) return true;
    Withdraw(words, bytes);
    return false;
  }

  // Reserves as much as there is room for, `most` at the utmost; 0: no room.
  static uint64_t BeginUpTo(const Words& words, uint64_t most, uint64_t limit) {
    const sys::Guard turn(*words.turn);
    Announce(words, most);
    uint64_t granted = 0;
    uint64_t seen = Load(words.device->used_total);
    while (true) {
      const uint64_t used = BytesOf(seen);
      granted = limit == 0 ? most : used >= limit ? 0 : Smaller(most, limit - used);
      if (granted == 0 || Swap(words.device->used_total, seen, NextTag(seen, used + granted)))
        break;
    }
    Withdraw(words, most - granted);
    return granted;
  }

  // What the driver took although it could not be reserved: booked without asking.
  static void BeginUnasked(const Words& words, uint64_t bytes) {
    const sys::Guard turn(*words.turn);
    Announce(words, bytes);
    RaiseTotal(words, bytes, 0);
    Count(words.header->unaccounted);
  }

  // The driver call succeeded and took `actual` <= `reserved`.
  static void Commit(const Words& words, unsigned kind, uint64_t reserved, uint64_t actual) {
    const sys::Guard turn(*words.turn);
    Set(words.own->bytes[kind], Own(words.own->bytes[kind]) + actual);
    Show(words, kind, actual);
    if (reserved > actual) LowerTotal(words, reserved - actual);
    Withdraw(words, reserved);
  }

  // The driver call failed: the reservation goes back.
  static void Cancel(const Words& words, uint64_t reserved) {
    const sys::Guard turn(*words.turn);
    LowerTotal(words, reserved);
    Withdraw(words, reserved);
  }

  // The driver has freed `bytes` of `kind`.
  static void Release(const Words& words, unsigned kind, uint64_t bytes) {
    const sys::Guard turn(*words.turn);
    Announce(words, bytes);
    const uint64_t held = Own(words.own->bytes[kind]);
    const uint64_t freed = Smaller(held, bytes);
    if (freed < bytes) Count(words.header->saturated);
    Set(words.own->bytes[kind], held - freed);
    Show(words, kind, -freed);
    LowerTotal(words, bytes);
    Withdraw(words, bytes);
  }

  // Upper bound of what a slot holds on a device while used_total does not change, and how much of
  // it belongs to operations under way, which may be in there twice.
  struct Sum {
    uint64_t bytes = 0, under_way = 0;
  };
  static Sum SlotSum(HamiExtSlot& slot, unsigned device) {
    uint64_t first = 0, second = 0, held = 0;
    for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
      first = Load(slot.pending[device]);
      held = 0;
      for (uint64_t& bytes : slot.device[device].bytes) held += Load(bytes);
      second = Load(slot.pending[device]);
      if (first == second) return {held + BytesOf(first), BytesOf(first)};
    }
    const uint64_t pending = BytesOf(first) + BytesOf(second);
    return {held + pending, pending};
  }

  static uint64_t SlotPending(HamiExtSlot& slot, unsigned device) {
    return BytesOf(Load(slot.pending[device]));
  }

  // Slots that can hold anything: 0..count-1. Raised before a slot's first reservation.
  static unsigned SlotCount(HamiRegion& region) {
    Step::At(&region.v1.proc_num);
    const int32_t count = std::atomic_ref(region.v1.proc_num).load();
    constexpr int32_t kMost = HAMI_EXT_SLOTS;
    return static_cast<unsigned>(count < 0 ? 0 : count > kMost ? kMost : count);
  }
  static void RaiseSlotCount(HamiRegion& region, int32_t least) {
    std::atomic_ref count(region.v1.proc_num);
    Step::At(&region.v1.proc_num);
    int32_t seen = count.load();
    while (seen < least) {
      Step::At(&region.v1.proc_num);
      if (count.compare_exchange_strong(seen, least)) return;
    }
  }

  // Lowers a total that dead processes left too high to the sum of the slots. The tag in the total
  // tells that nobody changed it since it was read; whatever it includes was announced in a slot
  // before, so everything else is read after it, the number of slots too. A slot that is being
  // reaped has no owner any more, however long its reaper takes. By the bytes of operations under
  // way the total may still be too high.
  struct Repaired {
    bool lowered;
    uint64_t under_way;
  };
  static Repaired Repair(HamiRegion& region, unsigned index) {
    HamiExtDevice& device = region.ext.header.devices[index];
    uint64_t seen = Load(device.used_total);
    Sum sum;
    for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
      sum = {};
      const unsigned count = SlotCount(region);
      for (unsigned i = 0; i < count; ++i) {
        Step::Known(seen, count, i, sum.bytes, sum.under_way);
        HamiExtSlot& slot = region.ext.slots[i];
        const uint32_t state = LoadState(slot);
        if (state != HAMI_SLOT_CLAIMING && state != HAMI_SLOT_LIVE) continue;
        const Sum one = SlotSum(slot, index);
        sum = {sum.bytes + one.bytes, sum.under_way + one.under_way};
      }
      Step::Known(seen, sum.bytes, sum.under_way);
      if (sum.bytes >= BytesOf(seen)) {
        const uint64_t now = Load(device.used_total);
        if (now == seen) break;
        seen = now;
        continue;
      }
      if (Swap(device.used_total, seen, NextTag(seen, sum.bytes))) {
        Count(region.ext.header.repaired);
        return {true, sum.under_way};
      }
    }
    return {false, sum.under_way};
  }

  static uint32_t LoadState(HamiExtSlot& slot) {
    Step::At(&slot.state);
    return std::atomic_ref(slot.state).load(std::memory_order_acquire);
  }
  static void StoreState(HamiExtSlot& slot, uint32_t state) {
    Step::At(&slot.state);
    std::atomic_ref(slot.state).store(state, std::memory_order_release);
  }
  static bool ChangeState(HamiExtSlot& slot, uint32_t from, uint32_t to) {
    Step::At(&slot.state);
    return std::atomic_ref(slot.state).compare_exchange_strong(from, to);
  }
  static uint64_t Load(uint64_t& word) {
    Step::At(&word);
    return std::atomic_ref(word).load(std::memory_order_seq_cst);
  }
  static void Store(uint64_t& word, uint64_t value) {
    Step::At(&word);
    std::atomic_ref(word).store(value, std::memory_order_seq_cst);
  }

 private:
  static constexpr int kReadAttempts = 64;

  static uint64_t Smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }
  static uint64_t NextTag(uint64_t tagged, uint64_t bytes) {
    return ((tagged & ~HAMI_BYTES_MASK) + HAMI_TAG_ONE) | bytes;
  }
  // A word of the own slot, under its turn. Whoever sees the new value sees what was written
  // before.
  static uint64_t Own(uint64_t& word) {
    return std::atomic_ref(word).load(std::memory_order_relaxed);
  }
  static void Set(uint64_t& word, uint64_t value) {
    Step::At(&word);
    std::atomic_ref(word).store(value, std::memory_order_release);
  }
  static void Announce(const Words& words, uint64_t bytes) {
    Set(*words.pending, Own(*words.pending) + HAMI_TAG_ONE + bytes);
  }
  static void Withdraw(const Words& words, uint64_t bytes) {
    Set(*words.pending, Own(*words.pending) - bytes);
  }
  static bool Swap(uint64_t& word, uint64_t& expected, uint64_t desired) {
    Step::At(&word);
    return std::atomic_ref(word).compare_exchange_strong(expected, desired);
  }
  static void Count(uint64_t& statistic) {
    std::atomic_ref(statistic).fetch_add(1, std::memory_order_relaxed);
  }

  static bool RaiseTotal(const Words& words, uint64_t bytes, uint64_t limit) {
    uint64_t seen = Load(words.device->used_total);
    while (true) {
      const uint64_t used = BytesOf(seen);
      if (limit != 0 && (bytes > limit || used > limit - bytes)) return false;
      if (Swap(words.device->used_total, seen, NextTag(seen, used + bytes))) return true;
    }
  }

  static void LowerTotal(const Words& words, uint64_t bytes) {
    uint64_t seen = Load(words.device->used_total);
    while (true) {
      const uint64_t used = BytesOf(seen);
      if (used < bytes) Count(words.header->saturated);
      if (Swap(words.device->used_total, seen, NextTag(seen, used < bytes ? 0 : used - bytes))) {
        return;
      }
    }
  }

  // Old readers see the same figures; the seqlock beside them stays even. `change` may be negative.
  static void Show(const Words& words, unsigned kind, uint64_t change) {
    HamiV1Used& mirror = *words.mirror;
    uint64_t& size = kind == HAMI_KIND_CONTEXT ? mirror.context_size : mirror.data_size;
    for (uint64_t* shown : {&size, &mirror.total}) {
      std::atomic_ref(*shown).store(Own(*shown) + change, std::memory_order_relaxed);
    }
  }
};

}  // namespace hami::limiter::region
