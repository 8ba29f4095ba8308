// The driver's real functions and the hooks in front of them: one list per library
// (cuda_api.h, nvml_api.h), from which everything else follows.
//
// Bound at first use, by any thread, without a lock: threads that race do the same work and store
// the same values, so a library's constructor that comes back here cannot deadlock.
#pragma once

#include <atomic>
#include <cstddef>
#include <string_view>

#include "limiter/hook/cuda_api.h"
#include "limiter/nvml/nvml_api.h"

extern "C" __attribute__((visibility("hidden"))) char hami_limiter_anchor;

namespace hami::limiter::hook {

#define HAMI_ENUMERATE(name, parameters) k_##name,
enum class CudaFn : unsigned {
  HAMI_CUDA_HOOKS(HAMI_ENUMERATE) HAMI_CUDA_CALLS(HAMI_ENUMERATE) kCount
};
enum class NvmlFn : unsigned {
  HAMI_NVML_HOOKS(HAMI_ENUMERATE) HAMI_NVML_CALLS(HAMI_ENUMERATE) kCount
};
#undef HAMI_ENUMERATE

// Types of the real functions, by name.
namespace type {
#define HAMI_TYPE(name, parameters) using name = CUresult(*) parameters;
HAMI_CUDA_HOOKS(HAMI_TYPE)
HAMI_CUDA_CALLS(HAMI_TYPE)
#undef HAMI_TYPE
#define HAMI_TYPE(name, parameters) using name = nvmlReturn_t(*) parameters;
HAMI_NVML_HOOKS(HAMI_TYPE)
HAMI_NVML_CALLS(HAMI_TYPE)
#undef HAMI_TYPE
}  // namespace type

// The real functions that have been found.
extern constinit std::atomic<void*> cuda_functions[static_cast<size_t>(CudaFn::kCount)];
extern constinit std::atomic<void*> nvml_functions[static_cast<size_t>(NvmlFn::kCount)];
// Looks them up first.
void* Bind(CudaFn function);
void* Bind(NvmlFn function);

// The real function; nullptr when library or function is missing.
inline void* Real(CudaFn function) {
  void* known = cuda_functions[static_cast<size_t>(function)].load(std::memory_order_acquire);
  return known != nullptr ? known : Bind(function);
}
inline void* Real(NvmlFn function) {
  void* known = nvml_functions[static_cast<size_t>(function)].load(std::memory_order_acquire);
  return known != nullptr ? known : Bind(function);
}

// The hook in front of a real function that `name` was looked up for; nullptr: none. Looks at
// loaded libraries only. A further form of a hooked function is reported once and seen in the
// region: the driver is newer than this library.
void* HookOf(std::string_view name, void* real);

// How many hooks this thread is in. initial-exec, so that reading it never allocates.
extern constinit thread_local int depth
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

// Whether this thread is inside the library: calls that come back from the driver are passed on.
inline bool Busy() { return depth > 0; }

class Inside {
 public:
  Inside() { ++depth; }
  ~Inside() { --depth; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

}  // namespace hami::limiter::hook

// The real function with its type: HAMI_REAL(cuMemFree_v2)(pointer) after a test for nullptr.
#define HAMI_REAL(name)                                \
  reinterpret_cast<::hami::limiter::hook::type::name>( \
      ::hami::limiter::hook::Real(::hami::limiter::hook::CudaFn::k_##name))
#define HAMI_REAL_NVML(name)                           \
  reinterpret_cast<::hami::limiter::hook::type::name>( \
      ::hami::limiter::hook::Real(::hami::limiter::hook::NvmlFn::k_##name))
