#include "sim/cuda/driver.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sim/core/text.h"
#include "sim/cuda/graph.h"

namespace hami::sim {
namespace {

constinit Driver g_driver;

void AfterForkInChild() { g_driver.ForgetAfterFork(); }

}  // namespace

Driver& Driver::Get() { return g_driver; }

void* Driver::TakeRoom(int list, size_t size) {
  {
    MutexGuard guard(object_mutex_);
    Tagged* room = free_objects_[list];
    if (room != nullptr) {
      free_objects_[list] = room->next_free;
      return room;
    }
  }
  return malloc(size);
}

void Driver::GiveRoom(int list, Tagged* object) {
  MutexGuard guard(object_mutex_);
  object->next_free = free_objects_[list];
  free_objects_[list] = object;
}

int Driver::Init() {
  if (forked_) return kCudaNotInitialized;
  if (ready_.load(std::memory_order_acquire)) return device_count_ == 0 ? kCudaNoDevice : 0;
  MutexGuard guard(context_mutex);
  if (ready_.load(std::memory_order_acquire)) return device_count_ == 0 ? kCudaNoDevice : 0;
  if (!machine_.Start(&g_driver, Machine::State::kNeeded)) return kCudaNoDevice;
  ChooseDevices();
  if (device_count_ == 0) return kCudaNoDevice;
  addresses_.Open();
  pthread_atfork(nullptr, nullptr, &AfterForkInChild);
  ready_.store(true, std::memory_order_release);
  return kCudaSuccess;
}

// A context does not survive a fork, and the real driver refuses to start again in the child.
void Driver::ForgetAfterFork() {
  ready_.store(false, std::memory_order_release);
  forked_ = true;
  machine_.ForgetAfterFork();
}

// CUDA_VISIBLE_DEVICES: indices or UUID prefixes; the list ends at the first item that is neither.
void Driver::ChooseDevices() {
  device_count_ = 0;
  const char* list = getenv("CUDA_VISIBLE_DEVICES");
  if (list == nullptr) {
    // Whole cards; where there are none, one instance and no more.
    for (int i = 0; i < machine_.visible_count(); ++i) {
      if (!card(machine_.visible(i)).is_mig) devices_[device_count_++].card = machine_.visible(i);
    }
    if (device_count_ == 0 && machine_.visible_count() != 0) ChooseOne("0");
  } else {
    std::string_view rest = list;
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      if (!ChooseOne(Trim(Slice(rest, 0, comma)))) break;
      rest = comma == std::string_view::npos ? std::string_view{} : Slice(rest, comma + 1);
    }
  }
  for (int i = 0; i < device_count_; ++i) {
    Pool& pool = devices_[i].default_pool;
    pool.tag = Pool::kTag;
    pool.card = devices_[i].card;
    pool.device = i;
    pool.is_default = true;
    devices_[i].current_pool = &pool;
  }
}

bool Driver::ChooseOne(std::string_view token) {
  const CardSet& set = machine_.cards();
  int found = -1;
  uint64_t index = 0;
  if (ParseUnsigned(token, index)) {
    if (index < static_cast<uint64_t>(machine_.visible_count())) {
      found = machine_.visible(static_cast<int>(index));
    }
    if (found >= 0 && card(found).is_mig) found = InstanceOf(set, found, 0);
  } else if (token.starts_with("MIG-GPU-")) {  // the card's UUID, its instances' numbers
    for (int i = 0; i < machine_.visible_count(); ++i) {
      for (int at = 0; InstanceOf(set, machine_.visible(i), at) >= 0; ++at) {
        const int instance = InstanceOf(set, machine_.visible(i), at);
        char name[96];
        snprintf(name, sizeof name, "MIG-%s/%u/%u", card(machine_.visible(i)).uuid,
                 card(instance).gpu_instance, card(instance).compute_instance);
        if (token == name) found = instance;
      }
    }
  } else if (token.starts_with("GPU-") || token.starts_with("MIG-")) {
    for (int i = 0; i < machine_.visible_count(); ++i) {
      const int whole = machine_.visible(i);
      for (int at = -1, one = whole; one >= 0; one = InstanceOf(set, whole, ++at)) {
        if (card(one).is_mig || !std::string_view(card(one).uuid).starts_with(token)) continue;
        if (found >= 0) return false;  // ambiguous
        found = one;
      }
    }
  }
  for (int i = 0; i < device_count_; ++i) {
    if (devices_[i].card == found) return false;
  }
  if (found < 0) return false;
  devices_[device_count_++].card = found;
  return true;
}

int Driver::TryCharge(int index, uint64_t bytes, Kind kind) {
  machine_.Refresh();
  const Card& there = card(index);
  if (there.health_count != 0 &&
      HealthAt(machine_.cards(), there, NowRealtimeNs()) == Health::kLost) {
    return kCudaDeviceUnavailable;
  }
  if (ledger().Take(index, bytes, there.memory_bytes, kind)) return kCudaSuccess;
  return ledger().Holds() ? kCudaOutOfMemory : kCudaUnknown;
}

int Driver::Charge(int index, uint64_t bytes, Kind kind) {
  for (;;) {
    const int code = TryCharge(index, bytes, kind);
    if (code != kCudaOutOfMemory || !EvictManaged(index, bytes)) return code;
  }
}

int Driver::ChargeManaged(Block* block) {
  uint64_t bytes = block->size;
  while (bytes != 0) {
    const int code = TryCharge(block->card, bytes, Kind::kData);
    if (code == kCudaSuccess) break;
    if (code != kCudaOutOfMemory) return code;
    const uint64_t total = card(block->card).memory_bytes;
    const uint64_t used = ledger().Used(block->card);
    const uint64_t room = used < total ? total - used : 0;
    bytes = room < bytes ? room : bytes / 2;  // others may be quicker
  }
  MutexGuard guard(managed_mutex_);
  block->charged = bytes;
  block->next_managed = managed_;
  managed_ = block;
  return kCudaSuccess;
}

// Managed pages of this process move to the host when the card is full. True: some did.
bool Driver::EvictManaged(int index, uint64_t bytes) {
  MutexGuard guard(managed_mutex_);
  uint64_t freed = 0;
  for (Block* block = managed_; block != nullptr && freed < bytes; block = block->next_managed) {
    if (block->card != index || block->charged == 0) continue;
    const uint64_t part = block->charged < bytes - freed ? block->charged : bytes - freed;
    block->charged -= part;
    freed += part;
  }
  if (freed != 0) ledger().Give(index, freed, Kind::kData);
  return freed != 0;
}

void Driver::ForgetManaged(Block* block) {
  MutexGuard guard(managed_mutex_);
  Block** at = &managed_;
  while (*at != nullptr && *at != block) at = &(*at)->next_managed;
  if (*at != nullptr) *at = block->next_managed;
}

int Driver::MakeContext(CudaDevice ordinal, Context** made, bool is_part) {
  if (!ledger().Join()) {
    Complain("no slot for this process in %s", machine_.location().state);
    return kCudaUnknown;
  }
  const int index = devices_[ordinal].card;
  const uint64_t bytes = is_part ? 0 : card(index).context_bytes;
  if (bytes != 0) {
    if (const int code = Charge(index, bytes, Kind::kContext); code != 0) return code;
  }
  auto* context = New<Context>();
  if (context == nullptr) return kCudaOutOfMemory;
  context->charged = bytes;
  context->device = ordinal;
  context->card = index;
  for (CudaStream* stream : {&context->legacy_stream, &context->thread_stream}) {
    stream->tag = CudaStream::kTag;
    stream->context = context;
  }
  *made = context;
  return kCudaSuccess;
}

void Driver::FreeBlock(Block* block) {
  if (block->context != nullptr) {
    (block->previous == nullptr ? block->context->blocks : block->previous->next) = block->next;
    if (block->next != nullptr) block->next->previous = block->previous;
  }
  if (block->kind == BlockKind::kManaged) ForgetManaged(block);
  if (block->pool != nullptr) {
    GiveToPool(*block->pool, block->size);
  } else if (block->charged != 0) {
    ledger().Give(block->card, block->charged, Kind::kData);
  }
  addresses_.Free(block);
}

bool Driver::IsDone(int card, int64_t mark) { return machine_.timeline().Done(card, mark); }
void Driver::Await(int card, int64_t mark) {
  if (mark != 0) machine_.timeline().Await(card, mark);
}
int64_t Driver::DoneAt(int card, int64_t mark) { return machine_.timeline().DoneAt(card, mark); }

void Driver::DestroyContext(Context* context) {
  EndGraphMemoryOf(*this, context);
  {
    MutexGuard guard(memory_mutex);
    while (context->blocks != nullptr) FreeBlock(context->blocks);
    EndModulesOf(*this, context);
    EndArraysOf(*this, context);
  }
  if (context->charged != 0) ledger().Give(context->card, context->charged, Kind::kContext);
  Delete(context);
}

}  // namespace hami::sim
