// Green contexts: parts of the primary context that are promised some of the card's
// multiprocessors. The promise is kept as a number only: the simulated card runs one kernel at a
// time, on all of them. A green context retains the primary one and takes nothing itself; what is
// allocated under it is the primary's.
#include <cstring>

#include "sim/cuda/array.h"
#include "sim/cuda/graph.h"

namespace hami::sim {

struct DeviceResource {
  int32_t type;
  uint8_t padding[92];
  union {
    uint32_t sm_count;
    uint8_t room[48];
  };
};
static_assert(sizeof(DeviceResource) == 144);

struct ResourceDescription : Tagged {
  static constexpr uint32_t kTag = 0x52455344;
  static constexpr int kList = 14;
  uint32_t sm_count = 0;
};

struct GreenContext : Tagged {
  static constexpr uint32_t kTag = 0x4752454e;
  static constexpr int kList = 15;
  Context* context = nullptr;
  Context* primary = nullptr;
};

namespace {

constexpr int kSm = 1;

int Fill(DeviceResource* out, int type, uint32_t sm_count) {
  if (out == nullptr) return kCudaInvalidValue;
  if (type != kSm) return kCudaInvalidValue;
  memset(out, 0, sizeof *out);
  out->type = kSm;
  out->sm_count = sm_count;
  return kCudaSuccess;
}

// Multiprocessors come in pairs, from Hopper on in eights.
uint32_t GroupSize(const Card& card) { return card.cc_major >= 9 ? 8 : 2; }

void LeaveToPrimary(Driver& driver, GreenContext* green) {
  MutexGuard guard(driver.memory_mutex);
  MoveTo(green->primary, &green->context->blocks, &green->primary->blocks);
  MoveTo(green->primary, &green->context->arrays, &green->primary->arrays);
  MoveModules(green->context, green->primary);
}

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuDeviceGetDevResource(CudaDevice ordinal, DeviceResource* out, int type) {
  SIM_CUDA_CALL(cuDeviceGetDevResource);
  const DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  return Fill(out, type, driver.card(device->card).sm_count);
}
SIM_CUDA cuCtxGetDevResource(Context* of, DeviceResource* out, int type) {
  SIM_CUDA_CALL(cuCtxGetDevResource);
  if (!IsLive(of)) return kCudaInvalidContext;
  return Fill(out, type, of->sm_count != 0 ? of->sm_count : driver.card(of->card).sm_count);
}
SIM_CUDA cuGreenCtxGetDevResource(GreenContext* green, DeviceResource* out, int type) {
  SIM_CUDA_CALL(cuGreenCtxGetDevResource);
  if (!IsLive(green)) return kCudaInvalidContext;
  return Fill(out, type, green->context->sm_count);
}

SIM_CUDA cuDevSmResourceSplitByCount(DeviceResource* result, unsigned* groups,
                                     const DeviceResource* input, DeviceResource* remaining,
                                     unsigned flags, unsigned least) {
  SIM_CUDA_CALL(cuDevSmResourceSplitByCount);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(groups);
  SIM_CUDA_OUT(input);
  if (flags != 0) return kCudaNotSupported;
  if (input->type != kSm || least > input->sm_count) return kCudaInvalidValue;
  const uint32_t step = GroupSize(driver.card(context->card));
  const uint32_t each = least == 0 ? step : (least + step - 1) / step * step;
  const uint32_t possible = input->sm_count / each;
  if (result == nullptr) {
    *groups = possible;
    return kCudaSuccess;
  }
  if (*groups > possible) *groups = possible;
  for (unsigned i = 0; i < *groups; ++i) Fill(&result[i], kSm, each);
  if (remaining != nullptr) Fill(remaining, kSm, input->sm_count - *groups * each);
  return kCudaSuccess;
}
SIM_CUDA cuDevResourceGenerateDesc(ResourceDescription** out, const DeviceResource* resources,
                                   unsigned count) {
  SIM_CUDA_CALL(cuDevResourceGenerateDesc);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(resources);
  uint32_t sum = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (resources[i].type != kSm) return kCudaInvalidValue;
    sum += resources[i].sm_count;
  }
  if (sum == 0) return kCudaInvalidValue;
  auto* description = driver.New<ResourceDescription>();
  if (description == nullptr) return kCudaOutOfMemory;
  description->sm_count = sum;
  *out = description;
  return kCudaSuccess;
}

SIM_CUDA cuGreenCtxCreate(GreenContext** out, ResourceDescription* description, CudaDevice ordinal,
                          unsigned flags) {
  SIM_CUDA_CALL(cuGreenCtxCreate);
  SIM_CUDA_OUT(out);
  constexpr unsigned kDefaultStream = 1;  // required
  const DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  if (flags != kDefaultStream || !IsLive(description) ||
      description->sm_count > driver.card(device->card).sm_count) {
    return kCudaInvalidValue;
  }
  auto* green = driver.New<GreenContext>();
  if (green == nullptr) return kCudaOutOfMemory;
  int code = RetainPrimary(driver, ordinal, &green->primary);
  if (code == kCudaSuccess) {
    code = driver.MakeContext(ordinal, &green->context, true);
    if (code != kCudaSuccess) ReleasePrimary(driver, ordinal);
  }
  if (code != kCudaSuccess) {
    driver.Delete(green);
    return code;
  }
  green->context->sm_count = description->sm_count;
  *out = green;
  return kCudaSuccess;
}
SIM_CUDA cuGreenCtxDestroy(GreenContext* green) {
  SIM_CUDA_CALL(cuGreenCtxDestroy);
  if (!IsLive(green)) return kCudaInvalidContext;
  const CudaDevice device = green->context->device;
  if (IsLive(green->primary)) {
    LeaveToPrimary(driver, green);
    ReleasePrimary(driver, device);
  }
  MutexGuard guard(driver.context_mutex);
  driver.DestroyContext(green->context);
  driver.Delete(green);
  return kCudaSuccess;
}
SIM_CUDA cuCtxFromGreenCtx(Context** out, GreenContext* green) {
  SIM_CUDA_CALL(cuCtxFromGreenCtx);
  SIM_CUDA_OUT(out);
  if (!IsLive(green)) return kCudaInvalidContext;
  *out = green->context;
  return kCudaSuccess;
}
SIM_CUDA cuGreenCtxStreamCreate(CudaStream** out, GreenContext* green, unsigned flags,
                                int priority) {
  SIM_CUDA_CALL(cuGreenCtxStreamCreate);
  SIM_CUDA_OUT(out);
  constexpr unsigned kNonBlocking = 1;  // required
  if (!IsLive(green)) return kCudaInvalidContext;
  if (flags != kNonBlocking) return kCudaInvalidValue;
  auto* stream = driver.New<CudaStream>();
  if (stream == nullptr) return kCudaOutOfMemory;
  stream->context = green->context;
  stream->flags = flags;
  stream->priority = priority;
  *out = stream;
  return kCudaSuccess;
}
