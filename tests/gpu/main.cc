// gpu-check: the program that tests/gpu/run starts, with libvgpu.so preloaded and without. The
// driver API through dlopen is all it needs.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/gpu/commands.h"

namespace {

constexpr char kUsage[] =
    "usage: gpu-check device                  which card and driver there are\n"
    "       gpu-check fill BLOCK_MIB          memory until it is refused; ends with its input\n"
    "       gpu-check used PID                what NVML says that a process, and all, use\n"
    "       gpu-check spin WARM_S SECONDS     share of time in which spin kernels ran\n"
    "       gpu-check overhead BURSTS CALLS   nanoseconds of a launch, of alloc and free\n"
    "Answers are lines of JSON. Device 0.\n";

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "--help" || command == "-h") return fputs(kUsage, stdout) < 0 ? 1 : 0;
  if (command == "device" && argc == 2) return hami::gpu::ShowDevice();
  if (command == "fill" && argc == 3 && atol(argv[2]) > 0) {
    return hami::gpu::Fill(static_cast<size_t>(atol(argv[2])));
  }
  if (command == "used" && argc == 3) {
    return hami::gpu::ShowUsed(static_cast<unsigned>(atol(argv[2])));
  }
  if (command == "spin" && argc == 4) return hami::gpu::Spin(atof(argv[2]), atof(argv[3]));
  if (command == "overhead" && argc == 4 && atoi(argv[2]) > 0 && atoi(argv[3]) > 0) {
    return hami::gpu::Overhead(atoi(argv[2]), atoi(argv[3]));
  }
  fputs(kUsage, stderr);
  return 2;
}
