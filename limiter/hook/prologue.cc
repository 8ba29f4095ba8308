#include "limiter/hook/prologue.h"

#include <cstring>

#include "limiter/account/charge.h"
#include "limiter/core/governor.h"
#include "limiter/core/helper.h"
#include "limiter/hook/context.h"
#include "limiter/hook/graph.h"
#include "limiter/hook/managed.h"
#include "limiter/hook/pool.h"
#include "limiter/hook/vmm.h"
#include "limiter/nvml/cards.h"
#include "limiter/region/attachment.h"

extern "C" {
// The start files that define it are not linked; it names this library to __register_atfork.
__attribute__((visibility("hidden"))) void* __dso_handle = &__dso_handle;
int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* dso);
}

namespace hami::limiter::hook {

constinit thread_local SeenContext seen_context;
constinit std::atomic<uint32_t> context_generation{1};
constinit std::atomic<bool> is_set_up{false};
constinit account::Records own_records;

namespace {

using region::Attachment;

constexpr int kMostOrdinals = 64;

constinit std::atomic<bool> started{false};
constinit sys::Lock start_turn;
constinit std::atomic<int8_t> index_of[kMostOrdinals] = {};  // index + 1, 0 = not asked yet
void InForkedChild() {
  Attachment::Own().AfterFork();
  own_records.AfterFork();
  account::AfterFork();
  ForgetPoolsAfterFork();
  core::Governor::Own().AfterFork();
  core::Helper::Own().AfterFork();
  ForgetGraphsAfterFork();
  start_turn.Reset();
  context_generation.fetch_add(1);
}

// What may lower this process's own account before a request of it is refused.
bool Relieve(unsigned device) {
  const bool pools = TrimPools(device);
  const bool graphs = TrimGraphs(device);
  return CorrectContexts(device) || pools || graphs;
}

void Start() {
  const sys::Guard guard(start_turn);
  if (started.load(std::memory_order_relaxed)) return;
  __register_atfork(nullptr, nullptr, &InForkedChild, __dso_handle);
  account::SetRelief(&Relieve);
  started.store(true, std::memory_order_release);
}

// As NVML writes it: GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.
sys::Text<HAMI_V1_UUID_SIZE> UuidText(std::string_view prefix, const CUuuid& uuid) {
  sys::Text<HAMI_V1_UUID_SIZE> text;
  text.Add(prefix).AddHex(uuid.bytes, 4).Add("-").AddHex(uuid.bytes + 4, 2).Add("-");
  text.AddHex(uuid.bytes + 6, 2).Add("-").AddHex(uuid.bytes + 8, 2).Add("-");
  text.AddHex(uuid.bytes + 10, 6);
  return text;
}

int IndexByUuid(const CUuuid& uuid) {
  const int index = nvml::IndexOfUuid(UuidText("GPU-", uuid).c_str());
  return index >= 0 ? index : nvml::IndexOfUuid(UuidText("MIG-", uuid).c_str());
}

// Without NVML the driver's own order is all there is: the card is entered under its ordinal.
int EnterCard(CUdevice ordinal, const CUuuid& uuid) {
  HamiV1Region& v1 = Attachment::Own().region().v1;
  if (ordinal >= HAMI_V1_DEVICES || v1.uuids[ordinal][0] != '\0') return ordinal % HAMI_V1_DEVICES;
  const auto text = UuidText("GPU-", uuid);
  memcpy(v1.uuids[ordinal], text.c_str(), text.size() + 1);
  std::atomic_ref count(v1.device_num);
  uint64_t known = count.load();
  while (known <= static_cast<uint64_t>(ordinal) &&
         !count.compare_exchange_weak(known, static_cast<uint64_t>(ordinal) + 1)) {
  }
  Attachment::Own().limits().BindCards();
  return ordinal;
}

int AskIndexOf(CUdevice ordinal) {
  const auto uuid_v2 = HAMI_REAL(cuDeviceGetUuid_v2);
  const auto uuid_v1 = HAMI_REAL(cuDeviceGetUuid);
  CUuuid uuid = {};
  const bool known = (uuid_v2 != nullptr && uuid_v2(&uuid, ordinal) == CUDA_SUCCESS) ||
                     (uuid_v1 != nullptr && uuid_v1(&uuid, ordinal) == CUDA_SUCCESS);
  if (!known) return -1;
  int index = IndexByUuid(uuid);
  if (index < 0 && nvml::LearnCards()) index = IndexByUuid(uuid);
  return index >= 0 ? index : EnterCard(ordinal, uuid);
}

}  // namespace

bool SetUp() {
  if (!started.load(std::memory_order_acquire)) Start();
  if (!Attachment::Own().Map()) return false;
  is_set_up.store(true, std::memory_order_release);
  return true;
}

int IndexOf(CUdevice ordinal) {
  if (ordinal < 0 || ordinal >= kMostOrdinals) return -1;
  const int8_t known = index_of[ordinal].load(std::memory_order_relaxed);
  if (known > 0) return known - 1;
  const int index = AskIndexOf(ordinal);
  if (index < 0) return index;
  LearnPaging(static_cast<unsigned>(index), ordinal);
  index_of[ordinal].store(static_cast<int8_t>(index + 1));
  return index;
}

int DeviceOf(const CUmemLocation& location) {
  if (location.type == CU_MEM_LOCATION_TYPE_DEVICE) return IndexOf(location.id);
  if (location.type != CU_MEM_LOCATION_TYPE_DEVICE_LOCALITY_DOMAIN) return -1;
  return IndexOf(location.id & 0xff);
}

Current CurrentDevice() {
  const auto get_current = HAMI_REAL(cuCtxGetCurrent);
  const auto get_device = HAMI_REAL(cuCtxGetDevice);
  Current current;
  if (get_current == nullptr || get_device == nullptr ||
      get_current(&current.context) != CUDA_SUCCESS || current.context == nullptr) {
    return current;
  }
  if (SeenBefore(current.context)) {
    return {true, current.context, seen_context.owner, seen_context.ordinal,
            static_cast<unsigned>(seen_context.index)};
  }
  const uint32_t generation = context_generation.load(std::memory_order_acquire);
  CUdevice ordinal = -1;
  if (get_device(&ordinal) != CUDA_SUCCESS) return current;
  const int index = IndexOf(ordinal);
  if (index < 0) return current;
  // A context has an identity of its own: its handle may come back for another one.
  const auto known = own_records.Find(account::Space::kContext, KeyOf(current.context));
  seen_context = {current.context, known ? known->link : KeyOf(current.context), generation,
                  static_cast<int16_t>(ordinal), static_cast<int16_t>(index)};
  return {true, current.context, seen_context.owner, ordinal, static_cast<unsigned>(index)};
}

void ForgetContexts() { context_generation.fetch_add(1, std::memory_order_acq_rel); }

void ForgetSeenContext() { seen_context.context = nullptr; }

void ReleaseRecord(const account::Record& record) {
  if (IsDisguised(record)) ForgetDisguised();
  if (record.space == account::Space::kArray && record.link != 0) UnbindAll(record.link);
  if (record.kind == HAMI_KIND_POOL) {
    PoolFreed(record);
  } else if (record.device >= 0) {
    account::Release(static_cast<unsigned>(record.device), record.kind, record.size);
  }
}

}  // namespace hami::limiter::hook
