#include "platform/driver/nvml_stub.h"

#include <cstring>

#include "platform/driver/nvml_abi.h"

using namespace hami::driver::nvml;

extern "C" {

NvmlStub nvml_stub;

Return nvmlInit_v2() { return ++nvml_stub.init_calls, nvml_stub.init; }
Return nvmlShutdown() { return 0; }
const char* nvmlErrorString(Return r) { return r == kGpuLost ? "GPU is lost" : "some error"; }
Return nvmlSystemGetDriverVersion(char* out, unsigned n) {
  std::strncpy(out, "550.54.15", n);
  return 0;
}
Return nvmlDeviceGetCount_v2(unsigned* n) {
  *n = nvml_stub.count;
  return nvml_stub.count_result;
}
Return nvmlDeviceGetHandleByIndex_v2(unsigned i, Handle* out) {
  *out = reinterpret_cast<Handle>(static_cast<uintptr_t>(i + 1));
  return nvml_stub.handle_result[i];
}
static unsigned Index(Handle h) {
  return static_cast<unsigned>(reinterpret_cast<uintptr_t>(h)) - 1;
}
Return nvmlDeviceGetUUID(Handle h, char* out, unsigned n) {
  std::memset(out, 'x', n);
  if (nvml_stub.unterminated) return 0;
  std::strncpy(out, Index(h) == 0 ? "GPU-a" : "GPU-b", n);
  return 0;
}
Return nvmlDeviceGetName(Handle, char* out, unsigned n) {
  std::strncpy(out, nvml_stub.name, n);
  return 0;
}
Return nvmlDeviceGetMinorNumber(Handle h, unsigned* out) {
  *out = Index(h) + 4;
  return 0;
}
Return nvmlDeviceGetMemoryInfo(Handle h, Memory* out) {
  out->total = 40960ULL << 20;
  return nvml_stub.memory_result[Index(h)];
}
Return nvmlDeviceGetPciInfo_v3(Handle h, PciInfo* out) {
  std::memset(out, 0, sizeof *out);
  std::strcpy(out->bus_id, Index(h) == 0 ? "00000000:3B:00.0" : "00000000:AF:00.0");
  return 0;
}
Return nvmlEventSetCreate(EventSet* out) {
  *out = &nvml_stub;
  return 0;
}
Return nvmlEventSetFree(EventSet) { return 0; }
Return nvmlDeviceRegisterEvents(Handle, unsigned long long, EventSet) { return 0; }
Return nvmlEventSetWait_v2(EventSet, EventData* out, unsigned) {
  if (nvml_stub.wait_result != 0) return nvml_stub.wait_result;
  if (nvml_stub.xid == 0) return kTimeout;
  out->device = reinterpret_cast<Handle>(uintptr_t{2});
  out->type = kEventXid;
  out->data = nvml_stub.xid;
  nvml_stub.xid = 0;
  return 0;
}
}
