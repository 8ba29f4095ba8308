#include "bench/limiter/operation.h"

#include <dlfcn.h>

#include <cstddef>
#include <ctime>

namespace hami::bench {
namespace {

using DevicePointer = unsigned long long;

void* Symbol(const char* library, const char* name) {
  void* handle = dlopen(library, RTLD_NOW);
  return handle == nullptr ? nullptr : dlsym(handle, name);
}

template <class... Types>
using Function = int (*)(Types...);

template <class F>
F Cuda(const char* name) {
  return reinterpret_cast<F>(Symbol("libcuda.so.1", name));
}

// The primary context of device 0, current.
bool Begin() {
  const auto retain = Cuda<Function<void**, int>>("cuDevicePrimaryCtxRetain");
  const auto set = Cuda<Function<void*>>("cuCtxSetCurrent");
  void* context = nullptr;
  return InitDriver() == 0 && retain != nullptr && set != nullptr && retain(&context, 0) == 0 &&
         set(context) == 0;
}

class Launch final : public Operation {
 public:
  // `rest_ns`: idle time of the card between bursts, in which a limited process earns its share.
  Launch(const char* kernel, int64_t rest_ns) : kernel_(kernel), rest_ns_(rest_ns) {}

  bool Prepare() override {
    launch_ = Cuda<decltype(launch_)>("cuLaunchKernel");
    synchronize_ = Cuda<decltype(synchronize_)>("cuCtxSynchronize");
    const auto load = Cuda<Function<void**, const void*>>("cuModuleLoadData");
    const auto find = Cuda<Function<void**, void*, const char*>>("cuModuleGetFunction");
    void* module = nullptr;
    return Begin() && launch_ != nullptr && synchronize_ != nullptr && load != nullptr &&
           find != nullptr && load(&module, "image") == 0 && find(&function_, module, kernel_) == 0;
  }
  void Repeat(int64_t calls) override {
    for (int64_t i = 0; i < calls; ++i) {
      launch_(function_, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr);
    }
  }
  void Rest() override {
    synchronize_();
    const timespec pause = {0, static_cast<long>(rest_ns_)};
    if (rest_ns_ > 0) nanosleep(&pause, nullptr);
  }

 private:
  const char* kernel_;
  int64_t rest_ns_;
  void* function_ = nullptr;
  Function<void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*,
           void**, void**>
      launch_ = nullptr;
  Function<> synchronize_ = nullptr;
};

class AllocFree final : public Operation {
 public:
  explicit AllocFree(size_t live) : live_(live) {}

  bool Prepare() override {
    alloc_ = Cuda<decltype(alloc_)>("cuMemAlloc_v2");
    free_ = Cuda<decltype(free_)>("cuMemFree_v2");
    if (!Begin() || alloc_ == nullptr || free_ == nullptr) return false;
    // One block is the one that comes and goes.
    for (size_t i = 1; i < live_; ++i) {
      DevicePointer kept = 0;
      if (alloc_(&kept, kBytes) != 0) return false;
    }
    DevicePointer tried = 0;
    return alloc_(&tried, kBytes) == 0 && free_(tried) == 0;
  }
  void Repeat(int64_t calls) override {
    for (int64_t i = 0; i < calls; ++i) {
      DevicePointer pointer = 0;
      alloc_(&pointer, kBytes);
      free_(pointer);
    }
  }

 private:
  static constexpr size_t kBytes = 512;
  size_t live_;
  Function<DevicePointer*, size_t> alloc_ = nullptr;
  Function<DevicePointer> free_ = nullptr;
};

class MemGetInfo final : public Operation {
 public:
  bool Prepare() override {
    ask_ = Cuda<decltype(ask_)>("cuMemGetInfo_v2");
    size_t free_bytes = 0, total = 0;
    return Begin() && ask_ != nullptr && ask_(&free_bytes, &total) == 0;
  }
  void Repeat(int64_t calls) override {
    size_t free_bytes = 0, total = 0;
    for (int64_t i = 0; i < calls; ++i) ask_(&free_bytes, &total);
  }

 private:
  Function<size_t*, size_t*> ask_ = nullptr;
};

class NvmlMemory final : public Operation {
 public:
  bool Prepare() override {
    const char* library = "libnvidia-ml.so.1";
    const auto init = reinterpret_cast<Function<>>(Symbol(library, "nvmlInit_v2"));
    const auto find = reinterpret_cast<Function<unsigned, void**>>(
        Symbol(library, "nvmlDeviceGetHandleByIndex_v2"));
    ask_ = reinterpret_cast<decltype(ask_)>(Symbol(library, "nvmlDeviceGetMemoryInfo"));
    uint64_t memory[3];
    return init != nullptr && find != nullptr && ask_ != nullptr && init() == 0 &&
           find(0, &device_) == 0 && ask_(device_, memory) == 0;
  }
  void Repeat(int64_t calls) override {
    uint64_t memory[3];
    for (int64_t i = 0; i < calls; ++i) ask_(device_, memory);
  }

 private:
  void* device_ = nullptr;
  Function<void*, uint64_t*> ask_ = nullptr;
};

class GetProcAddress final : public Operation {
 public:
  explicit GetProcAddress(const char* name) : name_(name) {}

  bool Prepare() override {
    find_ = Cuda<decltype(find_)>("cuGetProcAddress_v2");
    void* function = nullptr;
    return Begin() && find_ != nullptr && find_(name_, &function, 12000, 0, nullptr) == 0;
  }
  void Repeat(int64_t calls) override {
    void* function = nullptr;
    for (int64_t i = 0; i < calls; ++i) find_(name_, &function, 12000, 0, nullptr);
  }

 private:
  const char* name_;
  Function<const char*, void**, int, uint64_t, int*> find_ = nullptr;
};

template <class T, auto... Arguments>
std::unique_ptr<Operation> Make() {
  return std::make_unique<T>(Arguments...);
}

constexpr char kShortest[] = "k_4us";  // the simulated card's shortest kernel is 4.096 us
constexpr char kMillisecond[] = "k_1000us";
constexpr char kHooked[] = "cuMemAlloc";
constexpr char kForeign[] = "cuDeviceGetName";

struct Entry {
  std::string_view name;
  std::unique_ptr<Operation> (*make)();
};
constexpr Entry kOperations[] = {
    {"launch", Make<Launch, kShortest, 0>},
    {"launch-rested", Make<Launch, kShortest, 3'000'000>},
    {"kernel-1ms", Make<Launch, kMillisecond, 0>},
    {"alloc:1", Make<AllocFree, 1>},
    {"alloc:1000", Make<AllocFree, 1000>},
    {"alloc:10000", Make<AllocFree, 10'000>},
    {"alloc:100000", Make<AllocFree, 100'000>},
    {"memgetinfo", Make<MemGetInfo>},
    {"nvmlmemory", Make<NvmlMemory>},
    {"getproc-hooked", Make<GetProcAddress, kHooked>},
    {"getproc-foreign", Make<GetProcAddress, kForeign>},
};

}  // namespace

std::unique_ptr<Operation> MakeOperation(std::string_view name) {
  for (const Entry& entry : kOperations) {
    if (entry.name == name) return entry.make();
  }
  return nullptr;
}

std::vector<std::string> OperationNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kOperations) names.emplace_back(entry.name);
  return names;
}

int InitDriver() {
  const auto init = Cuda<Function<unsigned>>("cuInit");
  return init == nullptr ? -1 : init(0);
}

int64_t NowNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace hami::bench
