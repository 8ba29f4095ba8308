#include "tests/limiter/view_probe.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

using Args = std::vector<std::string>;

int Integer(const std::string& text) { return static_cast<int>(strtol(text.c_str(), nullptr, 0)); }

void* Cuda(const char* name) {
  static void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  return library == nullptr ? nullptr : dlsym(library, name);
}
void* Nvml(const char* name) {
  static void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  return library == nullptr ? nullptr : dlsym(library, name);
}

template <class... Types>
int Call(void* function, Types... arguments) {
  if (function == nullptr) return -1000;
  return reinterpret_cast<int (*)(Types...)>(function)(arguments...);
}

// Which object's which function.
std::string Named(void* function) {
  Dl_info info = {};
  if (function == nullptr || dladdr(function, &info) == 0) return "- -";
  const char* slash = strrchr(info.dli_fname, '/');
  return std::string(slash != nullptr ? slash + 1 : info.dli_fname) + " " +
         (info.dli_sname != nullptr ? info.dli_sname : "-");
}

// By a form with and without a status.
std::string LookUp(void* get, bool with_status, const Args& a, size_t first) {
  void* function = nullptr;
  int status = -7;
  const int version = Integer(a[first + 1]);
  const auto flags = static_cast<uint64_t>(Integer(a[first + 2]));
  const int result = with_status ? Call(get, a[first].c_str(), &function, version, flags, &status)
                                 : Call(get, a[first].c_str(), &function, version, flags);
  return std::to_string(result) + " " + std::to_string(status) + " " + Named(function);
}

// As a runtime of version a[1] does: the look-up itself is looked up first.
std::string LookUpBy(const Args& a) {
  void* get = nullptr;
  const int own = Integer(a[1]);
  const int result = Call(Cuda("cuGetProcAddress"), "cuGetProcAddress", &get, own, uint64_t{0});
  if (result != 0) return "none " + std::to_string(result);
  return Named(get) + " " + LookUp(get, own >= 12000, a, 2);
}

template <class Size>
std::string Info(const char* name, bool want_free, bool want_total) {
  Size free_bytes = 1, total = 1;
  const int result = Call(Cuda(name), want_free ? &free_bytes : static_cast<Size*>(nullptr),
                          want_total ? &total : static_cast<Size*>(nullptr));
  return std::to_string(result) + " " + std::to_string(free_bytes) + " " + std::to_string(total);
}

std::string NvmlNull(int card) {
  void* device = nullptr;
  Call(Nvml("nvmlInit_v2"));
  Call(Nvml("nvmlDeviceGetHandleByIndex_v2"), static_cast<unsigned>(card), &device);
  void* const nothing = nullptr;
  return std::to_string(Call(Nvml("nvmlDeviceGetMemoryInfo"), device, nothing)) + " " +
         std::to_string(Call(Nvml("nvmlDeviceGetMemoryInfo_v2"), device, nothing));
}

std::string WithoutLaunch() {
  unsigned long long pointer = 0;
  char host[64] = {};
  int failed = Call(Cuda("cuMemAlloc_v2"), &pointer, size_t{64});
  failed |= Call(Cuda("cuMemsetD8_v2"), pointer, static_cast<unsigned char>(0), size_t{64});
  failed |= Call(Cuda("cuMemcpyHtoD_v2"), pointer, static_cast<const void*>(host), size_t{64});
  failed |= Call(Cuda("cuMemcpyDtoH_v2"), static_cast<void*>(host), pointer, size_t{64});
  failed |= Call(Cuda("cuCtxSynchronize"));
  failed |= Call(Cuda("cuMemFree_v2"), pointer);
  return std::to_string(failed);
}

std::string Fill(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  static char zeros[65536];
  size_t written = 0;
  for (size_t piece = sizeof zeros; piece > 0;) {
    const ssize_t count = write(fd, zeros, piece);
    if (count > 0) {
      written += static_cast<size_t>(count);
    } else {
      piece /= 2;
    }
  }
  close(fd);
  return std::to_string(written >> 20);
}

}  // namespace

std::string View(const Args& a) {
  const std::string& c = a[0];
  if (c == "lookup1") return LookUp(Cuda("cuGetProcAddress"), false, a, 1);
  if (c == "lookupby") return LookUpBy(a);
  if (c == "info1") return Info<unsigned>("cuMemGetInfo", true, true);
  if (c == "infofree") return Info<size_t>("cuMemGetInfo_v2", true, false);
  if (c == "infototal") return Info<size_t>("cuMemGetInfo_v2", false, true);
  if (c == "total1") {
    unsigned bytes = 1;
    const int result = Call(Cuda("cuDeviceTotalMem"), &bytes, Integer(a[1]));
    return std::to_string(result) + " " + std::to_string(bytes);
  }
  if (c == "totalnull") {
    return std::to_string(
        Call(Cuda("cuDeviceTotalMem_v2"), static_cast<size_t*>(nullptr), Integer(a[1])));
  }
  if (c == "nvmlnull") return NvmlNull(Integer(a[1]));
  if (c == "copymem") return WithoutLaunch();
  if (c == "fill") return Fill(a[1]);
  return "";
}
