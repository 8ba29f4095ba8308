#include "sim/nvml/library.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "sim/nvml/processes.h"

namespace hami::sim {
namespace {

constinit NvmlLibrary g_library;

struct ErrorText {
  int code;
  const char* text;
};

constexpr ErrorText kErrors[] = {
    {kNvmlSuccess, "Success"},
    {kNvmlUninitialized, "Uninitialized"},
    {kNvmlInvalidArgument, "Invalid Argument"},
    {kNvmlNotSupported, "Not Supported"},
    {4, "Insufficient Permissions"},
    {5, "Already Initialized"},
    {kNvmlNotFound, "Not Found"},
    {kNvmlInsufficientSize, "Insufficient Size"},
    {8, "Insufficient External Power"},
    {kNvmlDriverNotLoaded, "Driver Not Loaded"},
    {kNvmlTimeout, "Timeout"},
    {11, "Interrupt Request Issue"},
    {12, "NVML Shared Library Not Found"},
    {13, "Function Not Found"},
    {14, "Corrupted infoROM"},
    {kNvmlGpuIsLost, "GPU is lost"},
    {16, "GPU requires reset"},
    {17, "GPU access blocked by the operating system"},
    {18, "RM has detected an NVML/RM version mismatch"},
    {19, "In use by another client"},
    {20, "Insufficient Memory"},
    {21, "No data"},
    {22, "The requested vgpu operation is not available on target device, because ECC is enabled"},
    {23, "Insufficient resources"},
    {24, "Frequency not supported"},
    {kNvmlVersionMismatch, "API Argument Version Mismatch"},
    {26, "Deprecated"},
};

int PutText(char* out, unsigned size, const char* text) {
  if (out == nullptr) return kNvmlInvalidArgument;
  return CopyText(out, size, text) ? kNvmlSuccess : kNvmlInsufficientSize;
}

}  // namespace

bool ProcessName(uint32_t pid, char* name, size_t size) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[256] = "";
  const ssize_t n = read(fd, text, sizeof text - 1);  // the first argument ends with a NUL
  close(fd);
  if (n > 0) CopyText(name, size, text);
  return n > 0;
}

NvmlLibrary& NvmlLibrary::Get() { return g_library; }

int NvmlLibrary::Init() {
  if (!machine_.Start(&g_library, Machine::State::kMayDoWithout)) return kNvmlDriverNotLoaded;
  machine_.Refresh();
  for (int i = 0; i < kMaxCards; ++i) devices_[i].card = i;
  users_.fetch_add(1);
  return kNvmlSuccess;
}

int NvmlLibrary::Shutdown() {
  int users = users_.load();
  while (users > 0 && !users_.compare_exchange_weak(users, users - 1)) {
  }
  return users > 0 ? kNvmlSuccess : kNvmlUninitialized;
}

int NvmlLibrary::Enter(FaultPoint& point) {
  if (users_.load(std::memory_order_acquire) == 0) return kNvmlUninitialized;
  machine_.Refresh();
  return machine_.Inject(point);
}

bool NvmlLibrary::Owns(const NvmlDevice* device) const {
  return device >= devices_ && device < devices_ + kMaxCards;
}

int NvmlLibrary::IndexOf(const NvmlDevice* device) const {
  if (!Owns(device)) return -1;
  for (int i = 0; i < machine_.visible_count(); ++i) {
    if (machine_.visible(i) == device->card) return i;
  }
  return -1;
}

bool NvmlLibrary::IsLost(int card) const {
  const CardSet& set = machine_.cards();
  return HealthAt(set, set.cards[card], NowRealtimeNs()) == Health::kLost;
}

int NvmlLibrary::Resolve(const NvmlDevice* device, const Card** card) {
  if (IndexOf(device) < 0 || device->card >= machine_.cards().count) return kNvmlInvalidArgument;
  if (IsLost(device->card)) return kNvmlGpuIsLost;
  *card = &machine_.cards().cards[device->card];
  return kNvmlSuccess;
}

int NvmlLibrary::HandleOf(int card, NvmlDevice** device) {
  if (card < 0 || card >= machine_.cards().count) return kNvmlNotFound;
  if (IsLost(card)) return kNvmlGpuIsLost;
  *device = &devices_[card];
  return kNvmlSuccess;
}

}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: the exported C functions below are ours alone

SIM_NVML nvmlInit_v2() { return NvmlLibrary::Get().Init(); }
SIM_NVML nvmlInit() { return NvmlLibrary::Get().Init(); }
SIM_NVML nvmlInitWithFlags(unsigned) { return NvmlLibrary::Get().Init(); }
SIM_NVML nvmlShutdown() { return NvmlLibrary::Get().Shutdown(); }

extern "C" __attribute__((visibility("default"))) const char* nvmlErrorString(int code) {
  for (const ErrorText& error : kErrors) {
    if (error.code == code) return error.text;
  }
  return "Unknown Error";
}

SIM_NVML nvmlSystemGetDriverVersion(char* version, unsigned size) {
  SIM_NVML_CALL(nvmlSystemGetDriverVersion);
  return PutText(version, size, library.machine().cards().driver_version);
}

SIM_NVML nvmlSystemGetNVMLVersion(char* version, unsigned size) {
  SIM_NVML_CALL(nvmlSystemGetNVMLVersion);
  const CardSet& set = library.machine().cards();
  char text[48];
  snprintf(text, sizeof text, "%d.%s", set.cuda_version / 1000, set.driver_version);
  return PutText(version, size, text);
}

SIM_NVML nvmlSystemGetCudaDriverVersion_v2(int* version) {
  SIM_NVML_CALL(nvmlSystemGetCudaDriverVersion_v2);
  SIM_NVML_OUT(version);
  *version = library.machine().cards().cuda_version;
  return kNvmlSuccess;
}
SIM_NVML nvmlSystemGetCudaDriverVersion(int* version) {
  return nvmlSystemGetCudaDriverVersion_v2(version);
}

SIM_NVML nvmlSystemGetProcessName(unsigned pid, char* name, unsigned size) {
  SIM_NVML_CALL(nvmlSystemGetProcessName);
  if (name == nullptr || size == 0) return kNvmlInvalidArgument;
  const auto offset = static_cast<uint32_t>(library.machine().cards().pid_offset);
  if (pid < offset) return kNvmlNotFound;
  return ProcessName(pid - offset, name, size) ? kNvmlSuccess : kNvmlNotFound;
}
