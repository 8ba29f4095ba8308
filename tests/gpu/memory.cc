#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <vector>

#include "tests/gpu/commands.h"
#include "tests/gpu/driver.h"

namespace hami::gpu {
namespace {

constexpr size_t kMi = size_t{1} << 20;
constexpr size_t kSmallest = 2 * kMi;  // what real cards give memory in: nothing is rounded

}  // namespace

int ShowDevice() {
  const Driver driver = LoadDriver();
  Must(driver.init(0), "cuInit");
  char name[96] = "";
  int version = 0;
  Must(driver.device_name(name, sizeof name, 0), "cuDeviceGetName");
  Must(driver.driver_version(&version), "cuDriverGetVersion");
  printf("{\"device\": \"%s\", \"driver\": \"%s\", \"cuda\": %d}\n", name,
         NvmlDriverVersion().c_str(), version);
  return 0;
}

int Fill(size_t block_mib) {
  const Driver driver = BeginOnDevice0();
  size_t free_bytes = 0, total = 0, granted = 0;
  Must(driver.memory_info(&free_bytes, &total), "cuMemGetInfo");
  std::vector<DevicePointer> blocks;
  int refusal = 0;
  for (size_t size = block_mib * kMi; size >= kSmallest;) {
    DevicePointer block = 0;
    refusal = driver.alloc(&block, size);
    if (refusal == 0) {
      blocks.push_back(block);
      granted += size;
    } else if (size == kSmallest) {
      break;
    } else {
      size = size / 2 < kSmallest ? kSmallest : size / 2;
    }
  }
  printf("{\"pid\": %d, \"total\": %zu, \"granted\": %zu, \"refusal\": %d}\n", getpid(), total,
         granted, refusal);
  fflush(stdout);
  while (getchar() != EOF) {
  }
  for (const DevicePointer block : blocks) Must(driver.free(block), "cuMemFree");
  DevicePointer again = 0;
  printf("{\"again\": %d}\n", driver.alloc(&again, block_mib * kMi));
  return 0;
}

int ShowUsed(unsigned pid) {
  printf("{\"process\": %" PRId64 ", \"all\": %" PRId64 "}\n", NvmlBytesOf(pid), NvmlBytesOfAll());
  return 0;
}

}  // namespace hami::gpu
