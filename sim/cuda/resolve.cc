// How programs find functions: cuGetProcAddress with the driver's version rule, export tables, and
// the names of errors.
#include <cstring>

#include "sim/cuda/driver.h"

namespace hami::sim::resolve {

// Addresses only: the real parameters do not matter here, so nothing is declared twice.
#define SIM_VARIANT(base, version, exported, per_thread) \
  extern char g_##base##_##version __asm__(#exported);   \
  extern char g_##base##_##version##_pt __asm__(#per_thread);
#include "sim/cuda/variants.inc"
#undef SIM_VARIANT

struct Variant {
  const char* base;
  int version;  // CUDA version that introduced it
  const void* address;
  const void* per_thread;  // the form with the thread's own stream; the same where there is none
};

const Variant kVariants[] = {
#define SIM_VARIANT(base, version, exported, per_thread) \
  {#base, version, &g_##base##_##version, &g_##base##_##version##_pt},
#include "sim/cuda/variants.inc"
#undef SIM_VARIANT
};
constexpr int kVariantCount = sizeof kVariants / sizeof kVariants[0];

// First entry of the base name; the table is sorted by name, then by version.
int FirstOf(const char* base) {
  int low = 0;
  int high = kVariantCount;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (strcmp(kVariants[middle].base, base) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

enum Status : int { kFound = 0, kSymbolNotFound = 1, kVersionNotSufficient = 2 };

// The newest variant that is not newer than the version asked for, nor than the driver itself.
Status Find(const char* symbol, int version, int driver_version, bool per_thread,
            const void** found) {
  *found = nullptr;
  int at = FirstOf(symbol);
  if (at == kVariantCount || strcmp(kVariants[at].base, symbol) != 0) return kSymbolNotFound;
  if (kVariants[at].version > driver_version) return kSymbolNotFound;
  if (kVariants[at].version > version) return kVersionNotSufficient;
  while (at + 1 < kVariantCount && strcmp(kVariants[at + 1].base, symbol) == 0 &&
         kVariants[at + 1].version <= version && kVariants[at + 1].version <= driver_version) {
    ++at;
  }
  *found = per_thread ? kVariants[at].per_thread : kVariants[at].address;
  return kFound;
}

}  // namespace hami::sim::resolve

using namespace hami::sim;  // NOLINT: only exported C functions below

namespace {

int Resolve(const char* symbol, void** function, int version, uint64_t flags, int* status) {
  constexpr uint64_t kLegacy = 1, kPerThread = 2;
  if (symbol == nullptr || function == nullptr || flags > kPerThread) return kCudaInvalidValue;
  static_assert(kLegacy < kPerThread);
  Machine& machine = Driver::Get().machine();
  if (!machine.Start(&Driver::Get(), Machine::State::kNeeded)) return kCudaNotInitialized;
  const void* found = nullptr;
  const resolve::Status result =
      resolve::Find(symbol, version, machine.cards().cuda_version, flags == kPerThread, &found);
  *function = const_cast<void*>(found);
  if (status != nullptr) *status = result;
  return result == resolve::kFound ? kCudaSuccess : kCudaNotFound;
}

}  // namespace

// The form that CUDA 11.3 introduced has four parameters; a fifth here would be garbage.
SIM_CUDA cuGetProcAddress(const char* symbol, void** function, int version, uint64_t flags) {
  return Resolve(symbol, function, version, flags, nullptr);
}
SIM_CUDA cuGetProcAddress_v2(const char* symbol, void** function, int version, uint64_t flags,
                             int* status) {
  return Resolve(symbol, function, version, flags, status);
}

namespace {

struct Error {
  int code;
  const char* name;
};

constexpr Error kErrors[] = {
#define SIM_ERROR(code, name) {code, #name},
#include "sim/cuda/errors.inc"
#undef SIM_ERROR
};

struct ErrorText {
  int code;
  const char* text;
};

constexpr ErrorText kTexts[] = {
    {0, "no error"},
    {1, "invalid argument"},
    {2, "out of memory"},
    {3, "initialization error"},
    {46, "CUDA-capable device(s) is/are busy or unavailable"},
    {100, "no CUDA-capable device is detected"},
    {101, "invalid device ordinal"},
    {201, "invalid device context"},
    {208, "resource already mapped"},
    {400, "invalid resource handle"},
    {500, "named symbol not found"},
    {600, "device not ready"},
    {700, "an illegal memory access was encountered"},
    {709, "context is destroyed"},
    {719, "unspecified launch failure"},
    {800, "operation not permitted"},
    {801, "operation not supported"},
    {999, "unknown error"},
};

const char* NameOf(int code) {
  for (const Error& error : kErrors) {
    if (error.code == code) return error.name;
  }
  return nullptr;
}

}  // namespace

SIM_CUDA cuGetErrorName(int code, const char** name) {
  if (name == nullptr) return kCudaInvalidValue;
  *name = NameOf(code);
  return *name != nullptr ? kCudaSuccess : kCudaInvalidValue;
}

SIM_CUDA cuGetErrorString(int code, const char** text) {
  if (text == nullptr) return kCudaInvalidValue;
  *text = NameOf(code);  // codes without a text of their own show their name
  for (const ErrorText& entry : kTexts) {
    if (entry.code == code) *text = entry.text;
  }
  return *text != nullptr ? kCudaSuccess : kCudaInvalidValue;
}

// Private tables are not imitated (sim/README.md, limits).
SIM_CUDA cuGetExportTable(const void** table, const void* id) {
  if (table == nullptr || id == nullptr) return kCudaInvalidValue;
  *table = nullptr;
  return kCudaNotFound;
}
