#include "limiter/account/charge.h"

#include <atomic>

#include "limiter/region/attachment.h"
#include "limiter/sys/log.h"

namespace hami::limiter::account {
namespace {

using region::Account;
using region::Attachment;

// How long a request waits for operations of others that may fail and so make room for it: others
// may have been stopped. What this process has begun without knowing its size (a module that is yet
// to be compiled) ends.
constexpr uint64_t kInFlightWaitNs = 500'000'000;
constexpr uint64_t kUnsizedWaitNs = 60'000'000'000;
constexpr uint64_t kLongestNapNs = 1'000'000;
// How long for books that others blur: they finish an operation, or give back a dead one's slot.
// They may be stopped, and a child that the dead one left behind keeps the slot while it lives.
constexpr uint64_t kBlurWaitNs = 20'000'000;
// A container that starts again finds what the one before it used, until that is known to be dead.
constexpr uint64_t kUnknownWaitNs = region::Slots::kUnknownGraceNs + 500'000'000;

constexpr uint64_t kLinesAtOnce = 32;

constinit std::atomic<Relief> relief{nullptr};
constinit std::atomic<uint32_t> unsized{
    0};  // reservations of this process that wait for their size
constinit std::atomic<uint64_t> printed{0};
constinit std::atomic<uint64_t> last_line_s{0};

struct Request {
  unsigned device;
  uint64_t bytes;
  uint64_t already = 0;  // reserved before by the same operation, hence in flight itself
};

// Whether the request would fit without `doubtful` of the bytes in use.
bool WouldFitWithout(Attachment& own, const Request& request, uint64_t doubtful) {
  const auto [device, bytes, already] = request;
  const uint64_t limit = own.limits().Memory(device);
  doubtful = doubtful > already ? doubtful - already : 0;
  const uint64_t used = own.Used(device);
  const uint64_t least = used > doubtful ? used - doubtful : 0;
  return doubtful != 0 && bytes <= limit && least <= limit - bytes;
}

// Only requests that hold nothing wait long, or two could wait for one another.
uint64_t LongestWaitNs(const Request& request) {
  return request.already == 0 && unsized.load() != 0 ? kUnsizedWaitNs : kInFlightWaitNs;
}

bool Relieve(unsigned device) {
  const Relief relieve = relief.load(std::memory_order_acquire);
  return relieve != nullptr && relieve(device);
}

// Whether others' bytes that will be gone soon are all that stands in the way.
bool IsWorthWaiting(Attachment& own, const Request& request, uint64_t waited, uint64_t blurred) {
  const unsigned device = request.device;
  return (waited < kBlurWaitNs && WouldFitWithout(own, request, blurred)) ||
         (waited < LongestWaitNs(request) && WouldFitWithout(own, request, own.InFlight(device))) ||
         (waited < kUnknownWaitNs && WouldFitWithout(own, request, own.Unknown(device)));
}

// Tries `attempt` until it succeeds, or nothing is left that could make room.
template <class Attempt>
bool WithEveryRelief(Attachment& own, const Request& request, Attempt attempt) {
  const uint64_t start = sys::NowNs(CLOCK_MONOTONIC);
  uint64_t nap_ns = 20'000;
  while (true) {
    const uint64_t blurred = own.Settle(request.device);
    if (attempt()) return true;
    if (Relieve(request.device) && attempt()) return true;
    const uint64_t waited = sys::NowNs(CLOCK_MONOTONIC) - start;
    if (!IsWorthWaiting(own, request, waited, blurred)) return attempt();
    sys::SleepNs(nap_ns);
    nap_ns = nap_ns * 2 < kLongestNapNs ? nap_ns * 2 : kLongestNapNs;
  }
}

// A program that asks again and again must not fill its log: some lines, then one a second.
bool MayPrint() {
  if (printed.fetch_add(1, std::memory_order_relaxed) < kLinesAtOnce) return true;
  const uint64_t now = sys::NowNs(CLOCK_MONOTONIC) / 1'000'000'000;
  uint64_t last = last_line_s.load(std::memory_order_relaxed);
  return now != last && last_line_s.compare_exchange_strong(last, now);
}

// Bytes of the container that cannot leave the card: what is not managed, and what is asked for.
// Whoever asks has announced his bytes before he reads this, so of two that ask at once at least
// one sees both. Too high while books change, never too low.
uint64_t PhysicalBytes(Attachment& own, unsigned device) {
  region::Account<> books;
  uint64_t sum = 0;
  const unsigned count = books.SlotCount(own.region());
  for (unsigned i = 0; i < count; ++i) {
    HamiExtSlot& slot = own.region().ext.slots[i];
    if (books.LoadState(slot) == HAMI_SLOT_FREE) continue;
    sum += books.SlotPending(slot, device);
    for (unsigned kind = 0; kind < HAMI_KINDS; ++kind) {
      if (kind != HAMI_KIND_MANAGED) sum += books.Load(slot.device[device].bytes[kind]);
    }
  }
  return sum;
}

bool IsWithinShare(Attachment& own, unsigned device) {
  const uint64_t share = own.limits().PhysicalShare(device);
  return share == 0 || PhysicalBytes(own, device) <= share;
}

// Begins an operation on the card's own memory.
bool BeginPhysical(Attachment& own, unsigned device, uint64_t bytes) {
  const auto& words = own.words(device);
  if (!Account<>::Begin(words, bytes, own.limits().Memory(device))) return false;
  if (IsWithinShare(own, device)) return true;
  Account<>::Cancel(words, bytes);
  return false;
}

// What a request was refused by, and how full it would have been.
struct Bound {
  uint64_t wanted, limit;
};
Bound BoundOf(Attachment& own, unsigned device, uint64_t bytes) {
  const uint64_t limit = own.limits().Memory(device);
  const uint64_t used = own.Used(device);
  const uint64_t share = own.limits().PhysicalShare(device);
  const bool by_share = share != 0 && bytes <= limit && used <= limit - bytes;
  if (by_share) return {PhysicalBytes(own, device) + bytes, share};
  return {used + bytes, limit};
}

void Refuse(Attachment& own, unsigned device, uint64_t bytes) {
  std::atomic_ref(own.region().ext.header.refused).fetch_add(1, std::memory_order_relaxed);
  if (!MayPrint()) return;
  const Bound bound = BoundOf(own, device, bytes);
  HAMI_LIMITER_LOG(kError, text.Add("Device ")
                               .Add(uint64_t{device})
                               .Add(" OOM ")
                               .Add(bound.wanted)
                               .Add(" / ")
                               .Add(bound.limit));
}

}  // namespace

Reservation Reservation::Of(unsigned device, uint64_t bytes) {
  Attachment& own = Attachment::Own();
  if (!own.Join()) return {device, 0, false};
  const auto begin = [&] { return BeginPhysical(own, device, bytes); };
  if (bytes < region::kAbsurdBytes && (begin() || WithEveryRelief(own, {device, bytes}, begin))) {
    return {device, bytes, true};
  }
  Refuse(own, device, bytes);
  return {device, 0, false};
}

Reservation Reservation::OfAny(unsigned device, uint64_t bytes) {
  Attachment& own = Attachment::Own();
  if (!own.Join()) return {device, 0, false};
  const auto& words = own.words(device);
  const auto begin = [&] { return Account<>::Begin(words, bytes, own.limits().Memory(device)); };
  if (bytes < region::kAbsurdBytes && (begin() || WithEveryRelief(own, {device, bytes}, begin))) {
    return {device, bytes, true};
  }
  Refuse(own, device, bytes);
  return {device, 0, false};
}

bool Reservation::FitsPhysicalShare() const {
  Attachment& own = Attachment::Own();
  if (IsWithinShare(own, device_)) return true;
  own.Settle(device_);  // the dead hold nothing
  return IsWithinShare(own, device_);
}

Reservation Reservation::UpTo(unsigned device, uint64_t least, uint64_t most) {
  Attachment& own = Attachment::Own();
  if (!own.Join()) return {device, 0, false};
  const auto& words = own.words(device);
  uint64_t bytes = 0;
  const auto begin = [&](uint64_t enough) {
    bytes = Account<>::BeginUpTo(words, most, own.limits().Memory(device));
    if (bytes >= enough) return true;
    if (bytes != 0) Account<>::Cancel(words, bytes);
    return false;
  };
  bool granted = begin(most);
  if (!granted) {  // what the dead and the unused hold is room, too
    own.Settle(device);
    Relieve(device);
    granted = begin(least) ||
              WithEveryRelief(own, {device, least}, [&begin, least] { return begin(least); });
  }
  if (!granted) Refuse(own, device, most);
  Reservation room(device, granted ? bytes : 0, granted);
  room.unsized_ = granted;
  if (granted) unsized.fetch_add(1);
  return room;
}

void Reservation::Close() {
  open_ = false;
  if (unsized_) unsized.fetch_sub(1);
  unsized_ = false;
}

void Reservation::Abandon() {
  Account<>::Cancel(Attachment::Own().words(device_), bytes_);
  Close();
}

// The driver took more than was asked for.
bool Reservation::Widen(uint64_t actual) {
  Attachment& own = Attachment::Own();
  const uint64_t more = actual - bytes_;
  const auto begin = [&] {
    return Account<>::Begin(own.words(device_), more, own.limits().Memory(device_));
  };
  if (!begin() && !WithEveryRelief(own, {device_, more, bytes_}, begin)) {
    Refuse(own, device_, more);
    return false;
  }
  bytes_ = actual;
  return true;
}

bool Reservation::Keep(unsigned kind, uint64_t actual) {
  if (actual > bytes_ && !Widen(actual)) return false;
  Account<>::Commit(Attachment::Own().words(device_), kind, bytes_, actual);
  Close();
  return true;
}

void Reservation::KeepAnyway(unsigned kind, uint64_t actual) {
  const auto& words = Attachment::Own().words(device_);
  if (actual > bytes_) {
    Account<>::BeginUnasked(words, actual - bytes_);
    bytes_ = actual;
  }
  Account<>::Commit(words, kind, bytes_, actual);
  Close();
}

void Charge(unsigned device, unsigned kind, uint64_t bytes) {
  Attachment& own = Attachment::Own();
  if (bytes == 0 || !own.Join()) return;
  const auto& words = own.words(device);
  if (!Account<>::Begin(words, bytes, own.limits().Memory(device))) {
    Account<>::BeginUnasked(words, bytes);
  }
  Account<>::Commit(words, kind, bytes, bytes);
}

void Release(unsigned device, unsigned kind, uint64_t bytes) {
  if (bytes == 0) return;
  Account<>::Release(Attachment::Own().words(device), kind, bytes);
}

void SetRelief(Relief function) { relief.store(function, std::memory_order_release); }

void AfterFork() { unsized.store(0); }

}  // namespace hami::limiter::account
