#include "sim/cuda/driver.h"

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
    for (int i = 0; i < machine_.visible_count(); ++i) devices_[i].card = machine_.visible(i);
    device_count_ = machine_.visible_count();
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
  int found = -1;
  uint64_t index = 0;
  if (ParseUnsigned(token, index)) {
    if (index < static_cast<uint64_t>(machine_.visible_count())) {
      found = machine_.visible(static_cast<int>(index));
    }
  } else if (token.starts_with("GPU-")) {
    for (int i = 0; i < machine_.visible_count(); ++i) {
      const int candidate = machine_.visible(i);
      if (!std::string_view(card(candidate).uuid).starts_with(token)) continue;
      if (found >= 0) return false;  // ambiguous
      found = candidate;
    }
  }
  for (int i = 0; i < device_count_; ++i) {
    if (devices_[i].card == found) return false;
  }
  if (found < 0) return false;
  devices_[device_count_++].card = found;
  return true;
}

int Driver::Charge(int index, uint64_t bytes, Kind kind) {
  machine_.Refresh();
  const Card& there = card(index);
  if (there.health_count != 0 &&
      HealthAt(machine_.cards(), there, NowRealtimeNs()) == Health::kLost) {
    return kCudaDeviceUnavailable;
  }
  if (ledger().Take(index, bytes, there.memory_bytes, kind)) return kCudaSuccess;
  return ledger().Holds() ? kCudaOutOfMemory : kCudaUnknown;
}

int Driver::MakeContext(CudaDevice ordinal, Context** made) {
  if (!ledger().Join()) {
    Complain("no slot for this process in %s", machine_.location().state);
    return kCudaUnknown;
  }
  const int index = devices_[ordinal].card;
  const uint64_t bytes = card(index).context_bytes;
  if (const int code = Charge(index, bytes, Kind::kContext); code != 0) return code;
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
  }
  ledger().Give(context->card, context->charged, Kind::kContext);
  Delete(context);
}

}  // namespace hami::sim
