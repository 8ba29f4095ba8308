#include "limiter/hook/managed.h"

#include <atomic>

#include "abi/region.h"
#include "limiter/region/attachment.h"
#include "limiter/sys/log.h"

namespace hami::limiter::hook {
namespace {

using account::Record;
using account::Space;
using region::Attachment;

constinit std::atomic<bool> exports{false};
// Blocks that are not what they seem: while there are none, questions about pointers cost nothing.
constinit std::atomic<uint64_t> disguised{0};
constinit std::atomic<bool> said_export{false};

void Advise(const Current& current, CUdeviceptr pointer, uint64_t bytes, int advice) {
  if (const auto advise = HAMI_REAL(cuMemAdvise)) {
    advise(pointer, bytes, advice, current.ordinal);
  } else if (const auto advise_v2 = HAMI_REAL(cuMemAdvise_v2)) {
    advise_v2(pointer, bytes, advice, {CU_MEM_LOCATION_TYPE_DEVICE, current.ordinal});
  }
}

bool IsDisguisedAt(CUdeviceptr address) {
  if (disguised.load(std::memory_order_relaxed) == 0) return false;
  auto record = OwnRecords().Find(Space::kPointer, address);
  if (!record) record = OwnRecords().FindContaining(Space::kPointer, address);
  return record && IsDisguised(*record);
}

}  // namespace

void LearnPaging(unsigned index, CUdevice ordinal) {
  Attachment& own = Attachment::Own();
  if (!own.limits().oversubscribed()) return;
  const auto ask = HAMI_REAL(cuDeviceGetAttribute);
  int concurrent = 0;
  const bool can =
      ask != nullptr &&
      ask(&concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, ordinal) == CUDA_SUCCESS &&
      concurrent != 0;
  if (can) return;
  own.limits().ForbidPaging(index);
  HAMI_LIMITER_LOG(kError, text.Add("device ")
                               .Add(uint64_t{index})
                               .Add(" cannot page memory (no concurrent managed access): it is "
                                    "not oversubscribed, its physical share is the limit"));
}

bool HasExported() { return exports.load(std::memory_order_relaxed); }

CUresult AllocateDisguised(const Current& current, uint64_t bytes, CUdeviceptr* pointer) {
  const auto allocate = HAMI_REAL(cuMemAllocManaged);
  if (allocate == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = allocate(pointer, bytes, CU_MEM_ATTACH_GLOBAL);
  if (result != CUDA_SUCCESS) return result;
  Advise(current, *pointer, bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION);
  Advise(current, *pointer, bytes, CU_MEM_ADVISE_SET_ACCESSED_BY);
  return result;
}

void MarkDisguised(Record& record) {
  record.kind = HAMI_KIND_MANAGED;
  record.link = kDisguised;
  disguised.fetch_add(1, std::memory_order_relaxed);
}

void ForgetDisguised() { disguised.fetch_sub(1, std::memory_order_relaxed); }

}  // namespace hami::limiter::hook

using hami::limiter::hook::disguised;
using hami::limiter::hook::exports;
using hami::limiter::hook::IsDisguisedAt;
using hami::limiter::hook::said_export;

namespace {

// What device memory answers where managed memory answers something else.
CUresult AsDeviceMemory(int attribute, void* data) {
  if (attribute == CU_POINTER_ATTRIBUTE_HOST_POINTER) {
    *static_cast<void**>(data) = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
  }
  *static_cast<unsigned*>(data) = 0;
  return CUDA_SUCCESS;
}

bool Tells(int attribute) {
  return attribute == CU_POINTER_ATTRIBUTE_IS_MANAGED ||
         attribute == CU_POINTER_ATTRIBUTE_HOST_POINTER;
}

}  // namespace

extern "C" {

CUresult cuPointerGetAttribute(void* data, int attribute, CUdeviceptr pointer) {
  HAMI_ACT(cuPointerGetAttribute, data, attribute, pointer);
  const CUresult result = real(data, attribute, pointer);
  if (result != CUDA_SUCCESS || !Tells(attribute) || !IsDisguisedAt(pointer)) return result;
  return AsDeviceMemory(attribute, data);
}

CUresult cuPointerGetAttributes(unsigned count, int* attributes, void** data, CUdeviceptr pointer) {
  HAMI_ACT(cuPointerGetAttributes, count, attributes, data, pointer);
  const CUresult result = real(count, attributes, data, pointer);
  if (result != CUDA_SUCCESS || !IsDisguisedAt(pointer)) return result;
  for (unsigned i = 0; i < count; ++i) {
    if (Tells(attributes[i])) AsDeviceMemory(attributes[i], data[i]);
  }
  return result;
}

// Managed memory cannot be exported. The driver would say the same; the program asked for a block
// that can, so a line explains it, and from now on it gets nothing else.
CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr pointer) {
  HAMI_ACT(cuIpcGetMemHandle, handle, pointer);
  exports.store(true, std::memory_order_relaxed);
  if (!IsDisguisedAt(pointer)) return real(handle, pointer);
  if (!said_export.exchange(true)) {
    HAMI_LIMITER_LOG(kError, text.Add("a block beyond the physical share cannot be exported to "
                                      "another process; blocks allocated from now on can"));
  }
  return CUDA_ERROR_INVALID_VALUE;
}

}  // extern "C"
