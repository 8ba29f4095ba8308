#include "tests/limiter/module_probe.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

namespace {

void* Pointer(const std::string& text) { return reinterpret_cast<void*>(Number(text)); }

// A file's content, which stays where it is.
const std::string& Content(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::string> contents;
  const std::lock_guard guard(mutex);
  std::string& content = contents[path];
  if (content.empty()) {
    std::ifstream in(path, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(in), {});
  }
  return content;
}

// module <function> <file>
std::string LoadModule(const Args& a) {
  const std::string& function = a[1];
  const auto* image = static_cast<const void*>(Content(a[2]).c_str());
  void* module = nullptr;
  int result = -1;
  if (function == "cuModuleLoad") {
    result = Call(function, &module, a[2].c_str());
  } else if (function == "cuModuleLoadDataEx") {
    result = Call(function, &module, image, 0u, static_cast<int*>(nullptr),
                  static_cast<void**>(nullptr));
  } else {
    result = Call(function, &module, image);
  }
  return Answer(result, reinterpret_cast<uint64_t>(module));
}

// library <function> <file>
std::string LoadLibrary(const Args& a) {
  const void* source = a[1] == "cuLibraryLoadFromFile"
                           ? static_cast<const void*>(a[2].c_str())
                           : static_cast<const void*>(Content(a[2]).c_str());
  int* const no_options = nullptr;
  void** const no_values = nullptr;
  void* library = nullptr;
  const int result =
      Call(a[1], &library, source, no_options, no_values, 0u, no_options, no_values, 0u);
  return Answer(result, reinterpret_cast<uint64_t>(library));
}

// modulestress <seconds> <threads> <file> <largest>: threads load and unload the module, others
// allocate and free. "loads allocations refusals failures".
std::string ModuleStress(const Args& a) {
  void* context = nullptr;
  Call("cuCtxGetCurrent", &context);
  std::atomic<uint64_t> loads{0}, allocations{0}, refused{0}, failed{0};
  timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  const auto count = [&](int result, std::atomic<uint64_t>& granted) {
    ++(result == 0 ? granted : result == 2 ? refused : failed);
    return result == 0;
  };
  const auto load = [&] {
    void* module = nullptr;
    const auto* image = static_cast<const void*>(Content(a[3]).c_str());
    if (!count(Call("cuModuleLoadData", &module, image), loads)) return;
    if (Call("cuModuleUnload", module) != 0) ++failed;
  };
  const auto allocate = [&](std::mt19937_64& random) {
    unsigned long long pointers[4] = {};
    for (unsigned long long& pointer : pointers) {
      const size_t bytes = 1 + random() % Number(a[4]);
      if (!count(Call("cuMemAlloc_v2", &pointer, bytes), allocations)) pointer = 0;
    }
    for (const unsigned long long pointer : pointers) {
      if (Call("cuMemFree_v2", pointer) != 0) ++failed;
    }
  };
  std::vector<std::thread> workers;
  for (uint64_t t = 0; t < Number(a[2]); ++t) {
    workers.emplace_back([&, t] {
      Call("cuCtxSetCurrent", context);
      std::mt19937_64 random(static_cast<uint64_t>(getpid()) * 1000 + t);
      while (Since(start) < atof(a[1].c_str())) t % 2 == 0 ? load() : allocate(random);
    });
  }
  for (std::thread& worker : workers) worker.join();
  std::ostringstream out;
  out << loads << " " << allocations << " " << refused << " " << failed;
  return out.str();
}

}  // namespace

std::optional<std::string> ExecuteModule(const Args& a) {
  const std::string& c = a[0];
  if (c == "module") return LoadModule(a);
  if (c == "endmodule") return Answer(Call("cuModuleUnload", Pointer(a[1])));
  if (c == "library") return LoadLibrary(a);
  if (c == "endlibrary") return Answer(Call("cuLibraryUnload", Pointer(a[1])));
  if (c == "kernel") return Made("cuLibraryGetKernel", Pointer(a[1]), "k_100us_x");
  if (c == "moduleof") return Made("cuLibraryGetModule", Pointer(a[1]));
  if (c == "modulestress") return ModuleStress(a);
  return std::nullopt;
}
