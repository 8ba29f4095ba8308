// A tool that is preloaded beside the library and stands in front of functions itself, as profilers
// and OpenMP do: what it is told by RTLD_NEXT and RTLD_DEFAULT is asked through it.
#include <dlfcn.h>

#include <cstddef>

#define EXPORTED extern "C" __attribute__((visibility("default")))

// Not by a tail call: the linker must see this object as the caller.
static void* Ask(void* handle, const char* name) {
  void* volatile found = dlsym(handle, name);
  return found;
}
EXPORTED void* interposer_next(const char* name) { return Ask(RTLD_NEXT, name); }
EXPORTED void* interposer_default(const char* name) { return Ask(RTLD_DEFAULT, name); }

// LLVM's OpenMP looks for another tool after itself, and loops for ever when it is given itself.
EXPORTED void* ompt_start_tool(unsigned, const char*) { return nullptr; }

static int allocations = 0;
EXPORTED int interposer_allocations() { return allocations; }

EXPORTED int cuMemAlloc_v2(unsigned long long* pointer, size_t size) {
  using Allocate = int (*)(unsigned long long*, size_t);
  const auto next = reinterpret_cast<Allocate>(Ask(RTLD_NEXT, "cuMemAlloc_v2"));
  ++allocations;
  return next == nullptr ? -1000 : next(pointer, size);
}
