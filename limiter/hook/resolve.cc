// Where a program gets the driver's functions from, beside dlsym.
#include "limiter/hook/prologue.h"
#include "limiter/region/attachment.h"

namespace {

// The driver decides which function a name, version and flags mean; its hook takes that place.
void PutHook(CUresult result, const char* symbol, void** function) {
  if (result != CUDA_SUCCESS || symbol == nullptr || function == nullptr || *function == nullptr) {
    return;
  }
  void* hook = hami::limiter::hook::HookOf(symbol, *function);
  if (hook != nullptr) *function = hook;
}

}  // namespace

extern "C" {

CUresult cuInit(unsigned flags) {
  const auto real = HAMI_REAL(cuInit);
  if (real == nullptr) return CUDA_ERROR_NO_DEVICE;
  if (hami::limiter::hook::Busy() || !hami::limiter::hook::Ready()) return real(flags);
  const hami::limiter::hook::Inside inside;
  const CUresult result = real(flags);
  if (result == CUDA_SUCCESS) hami::limiter::region::Attachment::Own().Join();
  return result;
}

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int version, uint64_t flags,
                             int* status) {
  const auto real = HAMI_REAL(cuGetProcAddress_v2);
  if (real == nullptr) return CUDA_ERROR_NOT_FOUND;
  const CUresult result = real(symbol, function, version, flags, status);
  if (!hami::limiter::hook::Busy()) PutHook(result, symbol, function);
  return result;
}

CUresult cuGetProcAddress_v2_ptsz(const char* symbol, void** function, int version, uint64_t flags,
                                  int* status) {
  const auto real = HAMI_REAL(cuGetProcAddress_v2_ptsz);
  if (real == nullptr) return CUDA_ERROR_NOT_FOUND;
  const CUresult result = real(symbol, function, version, flags, status);
  if (!hami::limiter::hook::Busy()) PutHook(result, symbol, function);
  return result;
}

CUresult cuGetProcAddress(const char* symbol, void** function, int version, uint64_t flags) {
  const auto real = HAMI_REAL(cuGetProcAddress);
  if (real == nullptr) return CUDA_ERROR_NOT_FOUND;
  const CUresult result = real(symbol, function, version, flags);
  if (!hami::limiter::hook::Busy()) PutHook(result, symbol, function);
  return result;
}

}  // extern "C"
