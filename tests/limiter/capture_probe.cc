#include "tests/limiter/capture_probe.h"

#include <algorithm>
#include <string>

namespace {

// Enough launches for some of them to be sampled.
int Launch(const char* function, void* stream) {
  int worst = 0;
  for (int i = 0; i < 40; ++i) {
    worst =
        std::max(worst, Call(function, reinterpret_cast<void*>(5000), 1u, 1u, 1u, 1u, 1u, 1u, 0u,
                             stream, static_cast<void**>(nullptr), static_cast<void**>(nullptr)));
  }
  return worst;
}

// One step while `stream` captures and `other` does not.
int Step(char call, void* stream, void* other) {
  unsigned long long pointer = 0;
  size_t free = 0, total = 0;
  void* module = nullptr;
  switch (call) {
    case 'l':
      return Launch("cuLaunchKernel", stream);
    case 'L':
      return Launch("cuLaunchKernel_ptsz", stream);
    case 'o':
      return Launch("cuLaunchKernel", other);
    case 'a':
      if (const int code = Call("cuMemAllocAsync", &pointer, size_t{1} << 20, stream)) return code;
      return Call("cuMemFreeAsync", pointer, stream);
    case 'A':
      if (const int code = Call("cuMemAllocAsync_ptsz", &pointer, size_t{1} << 20, stream)) {
        return code;
      }
      return Call("cuMemFreeAsync_ptsz", pointer, stream);
    case 'i':
      return Call("cuMemGetInfo_v2", &free, &total);
    case 'm':
      if (const int code = Call("cuMemAlloc_v2", &pointer, size_t{1} << 20)) return code;
      return Call("cuMemFree_v2", pointer);
    case 'c':
      if (const int code = Call("cuModuleLoadData", &module, "k")) return code;
      return Call("cuModuleUnload", module);
    case 'r':  // more than any card has
      return Call("cuMemAlloc_v2", &pointer, size_t{1} << 42);
    case 's':  // forbidden: ends the capture
      return Call("cuStreamSynchronize", stream);
    default:
      return -1;
  }
}

}  // namespace

std::string Captured(const Args& a) {
  void *stream = nullptr, *other = nullptr, *graph = nullptr, *exec = nullptr;
  Call("cuStreamCreate", &stream, 1u);
  Call("cuStreamCreate", &other, 1u);
  std::string answer;
  const auto say = [&answer](const char* step, int code) {
    answer += step;
    answer += "=" + std::to_string(code) + " ";
    return code;
  };
  say("begin", Call("cuStreamBeginCapture_v2", stream, static_cast<int>(Number(a[1]))));
  for (const char call : a[2]) say(std::string(1, call).c_str(), Step(call, stream, other));
  if (say("end", Call("cuStreamEndCapture", stream, &graph)) == 0) {
    say("instantiate", Call("cuGraphInstantiateWithFlags", &exec, graph, 0ull));
    for (int i = 0; i < 20; ++i) Call("cuGraphLaunch", exec, stream);
    say("launch", Call("cuGraphLaunch", exec, stream));
    say("synchronize", Call("cuStreamSynchronize", stream));
    say("destroy", Call("cuGraphExecDestroy", exec));
    Call("cuGraphDestroy", graph);
  }
  say("other", Call("cuStreamSynchronize", other));
  say("trim", Call("cuDeviceGraphMemTrim", 0));
  Call("cuStreamDestroy_v2", stream);
  Call("cuStreamDestroy_v2", other);
  return answer;
}
