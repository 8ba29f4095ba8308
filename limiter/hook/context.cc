// Contexts take memory like any allocation: reserved before the driver makes one, then corrected to
// what it took. The size is measured once per card and container and kept in the region.
//
// A handle may come back: a primary context's always does. So each context has an identity (`link`
// of its record), which owns what dies with it, and a thread that has ended a context forgets the
// identity that it saw before, never that of a context which another thread has made since.
#include "limiter/hook/context.h"

#include <algorithm>
#include <atomic>
#include <span>

#include "abi/region.h"
#include "limiter/account/charge.h"
#include "limiter/core/governor.h"
#include "limiter/hook/graph.h"
#include "limiter/hook/prologue.h"
#include "limiter/nvml/cards.h"
#include "limiter/region/attachment.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::hook::Current;
using hami::limiter::hook::KeyOf;
using hami::limiter::hook::OwnRecords;
using hami::limiter::region::Attachment;
namespace nvml = hami::limiter::nvml;
namespace type = hami::limiter::hook::type;

namespace {

// More than any known card's context: the first one is reserved with this, or with what is left.
constexpr uint64_t kUnknownContextBytes = uint64_t{768} << 20;
constexpr int kMostOrdinals = 64;

// Owner of contexts whose size is an estimate, so that they can be found.
constexpr uint64_t kEstimated = 1;

constinit std::atomic<CUcontext> primary[kMostOrdinals];
constinit std::atomic<uint64_t> next_identity{1};
constinit std::atomic<uint32_t> estimated{0};

std::atomic_ref<uint64_t> LearnedSize(unsigned index) {
  return std::atomic_ref(Attachment::Own().region().ext.header.devices[index].context_size);
}

bool PrimaryIsActive(CUdevice device) {
  const auto ask = HAMI_REAL(cuDevicePrimaryCtxGetState);
  unsigned flags = 0;
  int active = 0;
  return ask != nullptr && ask(device, &flags, &active) == CUDA_SUCCESS && active != 0;
}

// The region's count of this process's contexts on a card.
void Count(unsigned index, int change) {
  Attachment& own = Attachment::Own();
  std::atomic_ref(own.slot().contexts[index])
      .fetch_add(static_cast<uint8_t>(change), std::memory_order_relaxed);
}

uint64_t IdentityOf(CUcontext context) {
  const auto record = OwnRecords().Find(Space::kContext, KeyOf(context));
  return record ? record->link : 0;
}

// Everything that dies with a context. `owner`: its identity, or its handle if it has no record.
void ForgetOwned(uint64_t owner) {
  const auto release = [](const Record& record) { hami::limiter::hook::ReleaseRecord(record); };
  OwnRecords().TakeOwned(Space::kPointer, owner, release);
  OwnRecords().TakeOwned(Space::kArray, owner, release);
  OwnRecords().TakeOwned(Space::kModule, owner, release);
  OwnRecords().TakeOwned(Space::kPlaced, owner, release);
  hami::limiter::hook::RefreshGraphs();
  hami::limiter::core::Governor::Own().ForgetContext(owner);
}

void ForgetRecord(const Record& record) {
  if (record.owner == kEstimated) estimated.fetch_sub(1);
  ForgetOwned(record.link);
  hami::limiter::hook::ReleaseRecord(record);
  if (record.size != 0) Count(static_cast<unsigned>(record.device), -1);
}

struct Size {
  uint64_t bytes;
  bool known;
};

// Size of the context made between the two looks at NVML, learned for everybody.
Size Measure(unsigned index, const std::optional<nvml::Processes>& before, uint64_t fallback) {
  const uint64_t learned = LearnedSize(index).load();
  if (learned != 0) return {learned, true};
  if (!before) return {fallback, false};
  const auto after = nvml::ProcessesOn(index);
  const auto size = after ? nvml::GrowthOfOwn(*before, *after) : std::nullopt;
  if (!size) return {fallback, false};
  uint64_t unknown = 0;
  LearnedSize(index).compare_exchange_strong(unknown, *size);
  return {*size, true};
}

// Room for one more context on a card, from before the driver makes it.
class Room {
 public:
  explicit Room(unsigned index)
      : index_(index),
        learned_(LearnedSize(index).load()),
        reserved_(learned_ != 0 ? Reservation::OfAny(index, learned_)
                                : Reservation::UpTo(index, 1, kUnknownContextBytes)) {
    if (learned_ == 0 && reserved_.granted()) before_ = nvml::ProcessesOn(index);
  }
  bool granted() const { return reserved_.granted(); }

  // The context has been made. False: it takes more than there is.
  bool Keep(Record& record) {
    const Size size =
        learned_ != 0 ? Size{learned_, true} : Measure(index_, before_, reserved_.bytes());
    record.size = size.bytes;
    record.owner = size.known ? 0 : kEstimated;
    return reserved_.Keep(HAMI_KIND_CONTEXT, record.size);
  }

 private:
  unsigned index_;
  uint64_t learned_;
  Reservation reserved_;
  std::optional<nvml::Processes> before_;
};

// The driver's own number of a context; without one (before CUDA 12) a handle stands for itself.
uint64_t DriversIdentity(CUcontext context, uint64_t otherwise) {
  const auto ask = HAMI_REAL(cuCtxGetId);
  unsigned long long id = 0;
  return ask != nullptr && ask(context, &id) == CUDA_SUCCESS ? uint64_t{1} << 62 | id : otherwise;
}

// The program has this context: books it, unless it is booked already. `room` is null where the
// context seemed to be there before the call. False: there is no room for it.
bool Book(CUcontext context, unsigned index, Room* room) {
  while (true) {
    const auto known = OwnRecords().Find(Space::kContext, KeyOf(context));
    const uint64_t identity =
        DriversIdentity(context, known ? known->link : next_identity.fetch_add(1));
    if (known && known->link == identity) return true;
    if (known) {  // ended and made again: the new one has the old one's share
      Record record = *known;
      record.link = identity;
      if (!OwnRecords().Replace(known->link, record)) continue;
      hami::limiter::hook::ForgetContexts();
      ForgetOwned(known->link);
      return true;
    }
    if (room == nullptr) {
      Room late(index);
      return late.granted() && Book(context, index, &late);
    }
    Record record;
    record.key = KeyOf(context);
    record.link = identity;
    record.space = Space::kContext;
    record.kind = HAMI_KIND_CONTEXT;
    record.device = static_cast<int8_t>(index);
    if (!room->Keep(record)) return false;
    if (OwnRecords().InsertNew(record)) {
      if (record.owner == kEstimated) estimated.fetch_add(1);
      Count(index, 1);
      hami::limiter::hook::ForgetContexts();
      return true;
    }
    hami::limiter::hook::ReleaseRecord(record);  // another thread was faster, or there is no memory
    return OwnRecords().Find(Space::kContext, record.key).has_value();
  }
}

// `make` makes the context and `undo` takes it back. `there`: it seems to be there already.
template <class Make, class Undo>
CUresult Create(CUcontext* context, CUdevice device, bool there, Make make, Undo undo) {
  const int found = context == nullptr ? -1 : hami::limiter::hook::IndexOf(device);
  if (found < 0) return make();
  const auto index = static_cast<unsigned>(found);
  std::optional<Room> room;
  if (!there) room.emplace(index);
  if (room && !room->granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = make();
  if (result != CUDA_SUCCESS || *context == nullptr) return result;
  const bool booked = Book(*context, index, room ? &*room : nullptr);
  hami::limiter::hook::ForgetSeenContext();
  if (booked) return result;
  undo();
  return CUDA_ERROR_OUT_OF_MEMORY;
}

template <class Call>
CUresult CreateOwn(CUcontext* context, CUdevice device, Call call) {
  return Create(context, device, false, call, [&] {
    const auto destroy = HAMI_REAL(cuCtxDestroy_v2);
    if (destroy != nullptr) destroy(*context);
  });
}

template <class Call>
CUresult Destroy(CUcontext context, Call call) {
  // Out of the table before the driver may give the handle to another thread.
  const auto record = OwnRecords().Take(Space::kContext, KeyOf(context));
  hami::limiter::hook::ForgetContexts();
  const CUresult result = call();
  if (result != CUDA_SUCCESS) {
    if (record) OwnRecords().Insert(*record);
  } else if (record) {
    ForgetRecord(*record);
  } else {
    ForgetOwned(KeyOf(context));
  }
  hami::limiter::hook::ForgetContexts();
  return result;
}

std::atomic<CUcontext>* PrimaryOf(CUdevice device) {
  return device >= 0 && device < kMostOrdinals ? &primary[device] : nullptr;
}

template <class Call>
CUresult LeavePrimary(CUdevice device, Call call) {
  std::atomic<CUcontext>* const handle = PrimaryOf(device);
  const CUcontext context = handle == nullptr ? nullptr : handle->load();
  const uint64_t identity = context == nullptr ? 0 : IdentityOf(context);
  const CUresult result = call();
  if (result != CUDA_SUCCESS || identity == 0 || PrimaryIsActive(device)) return result;
  const auto gone = OwnRecords().TakeIf(Space::kContext, KeyOf(context), identity);
  if (gone) ForgetRecord(*gone);
  hami::limiter::hook::ForgetContexts();
  return result;
}

// The same for the primary context.
template <class Make, class Undo>
CUresult EnterPrimary(CUcontext* context, CUdevice device, Make make, Undo undo) {
  std::atomic<CUcontext>* const handle = PrimaryOf(device);
  if (handle == nullptr) return make();
  const CUresult result = Create(context, device, PrimaryIsActive(device), make, undo);
  if (result != CUDA_SUCCESS || context == nullptr) return result;
  const CUcontext last = handle->exchange(*context);
  if (last == nullptr || last == *context) return result;
  const auto gone = OwnRecords().Take(Space::kContext, KeyOf(last));  // ended without being missed
  if (gone) ForgetRecord(*gone);
  return result;
}

CUcontext HandleOfPrimary(CUdevice device) {
  const auto retain = HAMI_REAL(cuDevicePrimaryCtxRetain);
  const auto release = HAMI_REAL(cuDevicePrimaryCtxRelease_v2);
  CUcontext context = nullptr;
  if (retain == nullptr || release == nullptr || retain(&context, device) != CUDA_SUCCESS) {
    return nullptr;
  }
  release(device);
  return context;
}

// Heap and printf buffer of device code: what a program asks for beyond what a context has anyway
// is reserved when it asks. The driver takes it at the next load or launch.
CUresult SetLimit(const Current& current, int limit, size_t value, type::cuCtxSetLimit real) {
  const auto get = HAMI_REAL(cuCtxGetLimit);
  size_t now = 0;
  if (get == nullptr || get(&now, limit) != CUDA_SUCCESS) return real(limit, value);
  Record extra;
  extra.key = uint64_t{1} << 63 | current.owner << 4 | static_cast<unsigned>(limit);
  extra.owner = current.owner;
  extra.space = Space::kModule;
  extra.kind = HAMI_KIND_CONTEXT;
  extra.device = static_cast<int8_t>(current.index);
  const uint64_t more = value > now ? value - now : 0;
  Reservation room = Reservation::Of(current.index, more);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = real(limit, value);
  if (result != CUDA_SUCCESS) return result;
  const auto had = OwnRecords().Take(Space::kModule, extra.key);
  extra.size = had ? had->size : 0;
  const uint64_t less = std::min<uint64_t>(extra.size, value < now ? now - value : 0);
  extra.size += more - less;
  room.Keep(HAMI_KIND_CONTEXT, more);
  hami::limiter::account::Release(current.index, HAMI_KIND_CONTEXT, less);
  if (extra.size != 0) OwnRecords().Insert(extra);
  return result;
}

}  // namespace

bool hami::limiter::hook::CorrectContexts(unsigned device) {
  if (estimated.load() == 0 || LearnedSize(device).load() == 0) return false;
  constexpr size_t kAtOnce = 32;
  Record found[kAtOnce];
  size_t count = 0;
  OwnRecords().TakeOwned(Space::kContext, kEstimated, [&](const Record& record) {
    if (count < kAtOnce) found[count++] = record;
  });
  bool lowered = false;
  for (Record& record : std::span(found, count)) {
    const uint64_t learned = LearnedSize(static_cast<unsigned>(record.device)).load();
    const uint64_t surplus = learned != 0 && record.size > learned ? record.size - learned : 0;
    if (learned != 0) {
      record.size -= surplus;
      record.owner = 0;
      estimated.fetch_sub(1);
    }
    OwnRecords().Insert(record);
    account::Release(static_cast<unsigned>(record.device), HAMI_KIND_CONTEXT, surplus);
    lowered = lowered || (surplus != 0 && record.device == static_cast<int>(device));
  }
  return lowered;
}

extern "C" {

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxRetain, context, device);
  return EnterPrimary(
      context, device, [&] { return real(context, device); },
      [&] {
        const auto release = HAMI_REAL(cuDevicePrimaryCtxRelease_v2);
        if (release != nullptr) release(device);
      });
}

// A green context is a part of the primary one and retains it.
CUresult cuGreenCtxCreate(CUgreenCtx* green, CUdevResourceDesc resources, CUdevice device,
                          unsigned flags) {
  HAMI_ACT(cuGreenCtxCreate, green, resources, device, flags);
  CUcontext context = nullptr;
  const auto make = [&] {
    const CUresult made = real(green, resources, device, flags);
    if (made == CUDA_SUCCESS) context = HandleOfPrimary(device);
    return made;
  };
  const CUresult result = EnterPrimary(&context, device, make, [&] {
    const auto destroy = HAMI_REAL(cuGreenCtxDestroy);
    if (destroy != nullptr) destroy(*green);
  });
  if (result != CUDA_SUCCESS || green == nullptr) return result;
  Record record;  // of which card it is
  record.key = KeyOf(*green);
  record.link = static_cast<uint64_t>(device);
  record.space = Space::kGreen;
  OwnRecords().Insert(record);
  return result;
}

CUresult cuGreenCtxDestroy(CUgreenCtx green) {
  HAMI_ACT(cuGreenCtxDestroy, green);
  const auto record = OwnRecords().Take(Space::kGreen, KeyOf(green));
  if (!record) return real(green);
  const CUresult result =
      LeavePrimary(static_cast<CUdevice>(record->link), [&] { return real(green); });
  if (result != CUDA_SUCCESS) {
    OwnRecords().Insert(*record);
    return result;
  }
  OwnRecords().TakeOwned(Space::kContext, KeyOf(green), [](const Record&) {});
  hami::limiter::hook::ForgetContexts();
  return result;
}

// What is allocated under it belongs to the primary context.
CUresult cuCtxFromGreenCtx(CUcontext* context, CUgreenCtx green) {
  HAMI_ACT(cuCtxFromGreenCtx, context, green);
  const CUresult result = real(context, green);
  const auto known = OwnRecords().Find(Space::kGreen, KeyOf(green));
  if (result != CUDA_SUCCESS || context == nullptr || !known) return result;
  std::atomic<CUcontext>* const handle = PrimaryOf(static_cast<CUdevice>(known->link));
  if (handle == nullptr || KeyOf(*context) == KeyOf(handle->load())) return result;
  Record record;
  record.key = KeyOf(*context);
  record.link = IdentityOf(handle->load());
  record.owner = KeyOf(green);
  record.space = Space::kContext;
  OwnRecords().Insert(record);
  hami::limiter::hook::ForgetContexts();
  return result;
}

CUresult cuCtxSetLimit(int limit, size_t value) {
  HAMI_ACT(cuCtxSetLimit, limit, value);
  const Current current = hami::limiter::hook::CurrentDevice();
  const bool takes = limit == CU_LIMIT_PRINTF_FIFO_SIZE || limit == CU_LIMIT_MALLOC_HEAP_SIZE;
  return takes && current.valid ? SetLimit(current, limit, value, real) : real(limit, value);
}

CUresult cuGLCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
  HAMI_ACT(cuGLCtxCreate_v2, context, flags, device);
  return CreateOwn(context, device, [&] { return real(context, flags, device); });
}

CUresult cuGLCtxCreate(CUcontext* context, unsigned flags, CUdevice device) {
  HAMI_ACT(cuGLCtxCreate, context, flags, device);
  return CreateOwn(context, device, [&] { return real(context, flags, device); });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxRelease_v2, device);
  return LeavePrimary(device, [&] { return real(device); });
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxRelease, device);
  return LeavePrimary(device, [&] { return real(device); });
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxReset_v2, device);
  return LeavePrimary(device, [&] { return real(device); });
}

CUresult cuDevicePrimaryCtxReset(CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxReset, device);
  return LeavePrimary(device, [&] { return real(device); });
}

CUresult cuCtxCreate(CUcontext* context, unsigned flags, CUdevice device) {
  HAMI_ACT(cuCtxCreate, context, flags, device);
  return CreateOwn(context, device, [&] { return real(context, flags, device); });
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
  HAMI_ACT(cuCtxCreate_v2, context, flags, device);
  return CreateOwn(context, device, [&] { return real(context, flags, device); });
}

CUresult cuCtxCreate_v3(CUcontext* context, void* affinity, int count, unsigned flags,
                        CUdevice device) {
  HAMI_ACT(cuCtxCreate_v3, context, affinity, count, flags, device);
  return CreateOwn(context, device, [&] { return real(context, affinity, count, flags, device); });
}

CUresult cuCtxCreate_v4(CUcontext* context, void* parameters, unsigned flags, CUdevice device) {
  HAMI_ACT(cuCtxCreate_v4, context, parameters, flags, device);
  return CreateOwn(context, device, [&] { return real(context, parameters, flags, device); });
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  HAMI_ACT(cuCtxDestroy_v2, context);
  return Destroy(context, [&] { return real(context); });
}

CUresult cuCtxDestroy(CUcontext context) {
  HAMI_ACT(cuCtxDestroy, context);
  return Destroy(context, [&] { return real(context); });
}

}  // extern "C"
