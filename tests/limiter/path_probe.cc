#include "tests/limiter/path_probe.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <initializer_list>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "limiter/hook/test_cubin.h"

namespace {

// together <command>;<command>...: each in a thread of its own under the current context, begun in
// this order; the answers, each with a semicolon.
std::string Together(const std::string& commands) {
  void* context = nullptr;
  Call("cuCtxGetCurrent", &context);
  std::vector<std::string> lines;
  std::istringstream in(commands);
  for (std::string line; std::getline(in, line, ';');) lines.push_back(line);
  std::vector<std::string> answers(lines.size());
  std::vector<std::thread> workers;
  for (size_t i = 0; i < lines.size(); ++i) {
    workers.emplace_back([&, i] {
      Call("cuCtxSetCurrent", context);
      answers[i] = Execute(lines[i]);
    });
    usleep(100'000);
  }
  std::string all;
  for (size_t i = 0; i < lines.size(); ++i) {
    workers[i].join();
    all += answers[i] + ";";
  }
  return all;
}

// What a take has taken, by number; the function gives it back.
std::mutex held_mutex;  // guards held
std::map<uint64_t, std::function<int()>> held;

std::string Hold(int result, std::function<int()> give) {
  if (result != 0) return Answer(result, 0);
  const std::lock_guard guard(held_mutex);
  const uint64_t number = held.empty() ? 1 : held.rbegin()->first + 1;
  held[number] = std::move(give);
  return Answer(0, number);
}

int FirstFailure(std::initializer_list<int> results) {
  for (const int result : results) {
    if (result != 0) return result;
  }
  return 0;
}

void* const kStream = nullptr;

std::string TakePlain(const std::string& function, size_t bytes) {
  unsigned long long pointer = 0;
  size_t pitch = 0;
  const int result = function == "cuMemAllocPitch_v2"
                         ? Call(function, &pointer, &pitch, size_t{1}, bytes / 512, 4u)
                     : function == "cuMemAllocManaged" ? Call(function, &pointer, bytes, 1u)
                                                       : Call(function, &pointer, bytes);
  return Hold(result, [pointer] { return Call("cuMemFree_v2", pointer); });
}

struct PoolProps {
  int alloc_type = 1, handle_types = 0, location_type = 1, location_id = 0;
  void* win32 = nullptr;
  size_t max_size = 0;
  uint8_t reserved[56] = {};
};

void* OwnPool() {
  static void* const pool = [] {
    const PoolProps props;
    void* made = nullptr;
    Call("cuMemPoolCreate", &made, &props);
    return made;
  }();
  return pool;
}

std::string TakeOrdered(const std::string& function, size_t bytes) {
  unsigned long long pointer = 0;
  const int result = function.find("FromPool") != std::string::npos
                         ? Call(function, &pointer, bytes, OwnPool(), kStream)
                         : Call(function, &pointer, bytes, kStream);
  const bool per_thread = function.find("_ptsz") != std::string::npos;
  const std::string release = per_thread ? "cuMemFreeAsync_ptsz" : "cuMemFreeAsync";
  return Hold(result, [pointer, release] {
    return FirstFailure({Call(release, pointer, kStream), Call("cuCtxSynchronize")});
  });
}

// Elements of one byte.
std::string TakeArray(const std::string& function, size_t bytes) {
  const struct {
    size_t width, height, depth;
    int format;
    unsigned channels, flags;
  } shape3 = {bytes, 0, 0, 1, 1, 0}, largest_level = {bytes / 7 * 4, 0, 0, 1, 1, 0};
  const struct {
    size_t width, height;
    int format;
    unsigned channels;
  } shape2 = {bytes, 0, 1, 1};
  const auto width = static_cast<unsigned>(bytes);
  const unsigned old3[] = {width, 0, 0, 1, 1, 0}, old2[] = {width, 0, 1, 1};
  void* array = nullptr;
  if (function == "cuMipmappedArrayCreate") {
    const int result = Call(function, &array, &largest_level, 3u);
    return Hold(result, [array] { return Call("cuMipmappedArrayDestroy", array); });
  }
  const int result = function == "cuArrayCreate"      ? Call(function, &array, &old2[0])
                     : function == "cuArray3DCreate"  ? Call(function, &array, &old3[0])
                     : function == "cuArrayCreate_v2" ? Call(function, &array, &shape2)
                                                      : Call(function, &array, &shape3);
  return Hold(result, [array] { return Call("cuArrayDestroy", array); });
}

struct Prop {
  int type = 1, handle_types = 1, location_type = 1, location_id = 0;
  void* win32 = nullptr;
  uint8_t rest[72] = {};
};

int CreatePhysical(size_t bytes, unsigned long long* handle) {
  const Prop prop;
  return Call("cuMemCreate", handle, bytes, &prop, 0ull);
}

std::string TakePhysical(size_t bytes) {
  unsigned long long handle = 0;
  const int result = CreatePhysical(bytes, &handle);
  return Hold(result, [handle] { return Call("cuMemRelease", handle); });
}

// Released while mapped: the mapping alone keeps the block.
std::string TakeMapped(size_t bytes) {
  unsigned long long handle = 0, address = 0;
  int result = CreatePhysical(bytes, &handle);
  if (result != 0) return Answer(result, 0);
  result = FirstFailure({Call("cuMemAddressReserve", &address, bytes, size_t{0}, 0ull, 0ull),
                         Call("cuMemMap", address, bytes, size_t{0}, handle, 0ull),
                         Call("cuMemRelease", handle)});
  return Hold(result, [address, bytes] {
    return FirstFailure(
        {Call("cuMemUnmap", address, bytes), Call("cuMemAddressFree", address, bytes)});
  });
}

struct MapInfo {
  int resource_type = 0;
  void* resource = nullptr;
  int kind = 0;
  alignas(8) unsigned place[8] = {};
  int operation = 1, handle_type = 0;
  unsigned long long handle = 0, offset = 0;
  unsigned devices = 1, flags = 0, reserved[2] = {};
};
static_assert(sizeof(MapInfo) == 96);

// The same in a tile of a sparse array.
std::string TakeSparse(const std::string& function, size_t bytes) {
  const struct {
    size_t width, height, depth;
    int format;
    unsigned channels, flags;
  } shape = {bytes, 0, 0, 1, 1, 0x40};
  MapInfo info;
  int result = Call("cuArray3DCreate_v2", &info.resource, &shape);
  if (result == 0) result = CreatePhysical(bytes, &info.handle);
  void* const array = info.resource;
  if (result != 0) {
    Call("cuArrayDestroy", array);
    return Answer(result, 0);
  }
  result = FirstFailure({Call(function, &info, 1u, kStream), Call("cuMemRelease", info.handle)});
  return Hold(result, [array] { return Call("cuArrayDestroy", array); });
}

struct AllocNode {
  PoolProps props;
  const void* access = nullptr;
  size_t access_count = 0, bytes = 0;
  unsigned long long pointer = 0;
};

// A graph's allocation that outlives its launch. Uploading alone would hold nothing: what no launch
// uses is trimmed.
std::string TakeGraph(const std::string& function, size_t bytes) {
  void *graph = nullptr, *exec = nullptr, *node = nullptr;
  AllocNode params;
  params.bytes = bytes;
  void* const* const none = nullptr;
  int result = FirstFailure({Call("cuGraphCreate", &graph, 0u),
                             Call("cuGraphAddMemAllocNode", &node, graph, none, size_t{0}, &params),
                             Call("cuGraphInstantiateWithFlags", &exec, graph, 0ull)});
  if (result == 0) result = Call(function, exec, kStream);
  const bool uploaded = function.find("Upload") != std::string::npos;
  if (result == 0 && uploaded) result = Call("cuGraphLaunch", exec, kStream);
  const auto end = [graph, exec] {
    return FirstFailure({Call("cuGraphExecDestroy", exec), Call("cuGraphDestroy", graph),
                         Call("cuDeviceGraphMemTrim", 0)});
  };
  if (result != 0) {
    end();
    return Answer(result, 0);
  }
  const auto pointer = params.pointer;
  return Hold(result, [pointer, end] {
    return FirstFailure(
        {Call("cuMemFreeAsync", pointer, kStream), Call("cuCtxSynchronize"), end()});
  });
}

// Code that says its size. A kernel of it is what brings a library into a context.
std::string TakeCode(const std::string& function, size_t bytes) {
  const std::string image = hami::limiter::testing::CubinOf(bytes);
  const auto* const code = static_cast<const void*>(image.data());
  void *made = nullptr, *kernel = nullptr, *context = nullptr;
  if (function == "cuModuleLoadData") {
    const int result = Call(function, &made, code);
    return Hold(result, [made] { return Call("cuModuleUnload", made); });
  }
  int* const no_options = nullptr;
  void** const no_values = nullptr;
  if (function == "cuLibraryGetKernel") Call("cuCtxPopCurrent_v2", &context);
  int result =
      Call("cuLibraryLoadData", &made, code, no_options, no_values, 0u, no_options, no_values, 0u);
  if (context != nullptr) Call("cuCtxPushCurrent_v2", context);
  if (result == 0) result = Call("cuLibraryGetKernel", &kernel, made, "k_9us");
  if (result != 0 && made != nullptr) Call("cuLibraryUnload", made);
  return Hold(result, [made] { return Call("cuLibraryUnload", made); });
}

// take <function> <bytes>: by the path that this function stands for; code and number.
std::string Take(const Args& a) {
  const std::string& function = a[1];
  const size_t bytes = Number(a[2]);
  const auto has = [&function](const char* part) {
    return function.find(part) != std::string::npos;
  };
  if (function == "cuMemCreate") return TakePhysical(bytes);
  if (function == "cuMemMap") return TakeMapped(bytes);
  if (has("cuMemMapArrayAsync")) return TakeSparse(function, bytes);
  if (has("Async")) return TakeOrdered(function, bytes);
  if (has("cuMemAlloc")) return TakePlain(function, bytes);
  if (has("Array")) return TakeArray(function, bytes);
  if (has("cuGraph")) return TakeGraph(function, bytes);
  return TakeCode(function, bytes);
}

// give <number>
int Give(uint64_t number) {
  std::function<int()> give;
  {
    const std::lock_guard guard(held_mutex);
    const auto found = held.find(number);
    if (found == held.end()) return -1;
    give = std::move(found->second);
    held.erase(found);
  }
  return give();
}

// takestress <seconds> <threads> <function> <bytes>: threads take and give. "granted refused
// failed"
std::string TakeStress(const Args& a) {
  void* context = nullptr;
  Call("cuCtxGetCurrent", &context);
  std::atomic<uint64_t> granted{0}, refused{0}, failed{0};
  timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  std::vector<std::thread> workers;
  for (uint64_t t = 0; t < Number(a[2]); ++t) {
    workers.emplace_back([&] {
      Call("cuCtxSetCurrent", context);
      do {
        const std::string answer = Take({"take", a[3], a[4]});
        const int code = std::stoi(answer);
        ++(code == 0 ? granted : code == 2 ? refused : failed);
        if (code == 0 && Give(Number(answer.substr(2))) != 0) ++failed;
      } while (Since(start) < atof(a[1].c_str()));
    });
  }
  for (std::thread& worker : workers) worker.join();
  return std::to_string(granted) + " " + std::to_string(refused) + " " + std::to_string(failed);
}

}  // namespace

std::optional<std::string> ExecutePath(const Args& a, const std::string& line) {
  const std::string& c = a[0];
  if (c == "take") return Take(a);
  if (c == "give") return Answer(Give(Number(a[1])));
  if (c == "takestress") return TakeStress(a);
  if (c == "together") return Together(line.substr(9));
  return std::nullopt;
}
