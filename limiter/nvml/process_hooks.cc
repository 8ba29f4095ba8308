// NVML's lists of processes and of what they use (spec A3): the container's own, under its own
// pids.
#include "limiter/nvml/process_lists.h"

namespace hami::limiter::nvml {
namespace {

uint64_t NowUs() { return sys::NowNs(CLOCK_REALTIME) / 1000; }

void Put(const region::Member& member, nvmlProcessUtilizationSample_t& sample) {
  sample = {member.pid, NowUs(), member.sm_percent, 0, 0, 0};
}
void Put(const region::Member& member, nvmlProcessUtilizationInfo_v1_t& info) {
  info = {NowUs(), member.pid, member.sm_percent, 0, 0, 0, 0, 0};
}

// As ListProcesses, for samples: NVML has none of a process that did nothing.
template <class Sample, class Real>
nvmlReturn_t ListSamples(nvmlDevice_t device, unsigned* count, Sample* samples, Real real) {
  if (count == nullptr || !ListsAreOurs()) return real(count, samples);
  const hook::Inside inside;
  Listing<Sample> listed;
  const nvmlReturn_t result = listed.Ask(real);
  if (result != NVML_SUCCESS && result != NVML_ERROR_NOT_FOUND) return result;
  Shown<Sample> shown(count, samples);
  ShowMembers(
      IndexOf(device), listed, shown, [](const region::Member& m) { return m.sm_percent > 0; },
      [](const region::Member& m, Sample& sample) { Put(m, sample); });
  const nvmlReturn_t fits = shown.Finish();
  return shown.found() == 0 ? NVML_ERROR_NOT_FOUND : fits;
}

}  // namespace

Instance InstanceOf(nvmlDevice_t device) {
  const auto is_mig = HAMI_REAL_NVML(nvmlDeviceIsMigDeviceHandle);
  const auto gpu_id = HAMI_REAL_NVML(nvmlDeviceGetGpuInstanceId);
  const auto compute_id = HAMI_REAL_NVML(nvmlDeviceGetComputeInstanceId);
  Instance instance;
  unsigned yes = 0;
  if (is_mig == nullptr || gpu_id == nullptr || compute_id == nullptr ||
      is_mig(device, &yes) != NVML_SUCCESS || yes == 0 ||
      gpu_id(device, &instance.gpu) != NVML_SUCCESS ||
      compute_id(device, &instance.compute) != NVML_SUCCESS) {
    return {};
  }
  return instance;
}

}  // namespace hami::limiter::nvml

using hami::limiter::nvml::About;
using hami::limiter::nvml::ListProcesses;
using hami::limiter::nvml::ListSamples;

extern "C" {

#define HAMI_NVML_LIST(name, Info, about)                                           \
  nvmlReturn_t name(nvmlDevice_t device, unsigned* count, Info* infos) {            \
    const auto real = HAMI_REAL_NVML(name);                                         \
    if (real == nullptr) return NVML_ERROR_FUNCTION_NOT_FOUND;                      \
    return ListProcesses(device, about, count, infos,                               \
                         [&](unsigned* n, Info* i) { return real(device, n, i); }); \
  }

HAMI_NVML_LIST(nvmlDeviceGetComputeRunningProcesses_v3, nvmlProcessInfo_v2_t, About::kCompute)
HAMI_NVML_LIST(nvmlDeviceGetComputeRunningProcesses_v2, nvmlProcessInfo_v2_t, About::kCompute)
HAMI_NVML_LIST(nvmlDeviceGetComputeRunningProcesses, nvmlProcessInfo_v1_t, About::kCompute)
HAMI_NVML_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_v2_t, About::kOther)
HAMI_NVML_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t, About::kOther)
HAMI_NVML_LIST(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t, About::kOther)
HAMI_NVML_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlProcessInfo_v2_t, About::kOther)
HAMI_NVML_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlProcessInfo_v2_t, About::kOther)
HAMI_NVML_LIST(nvmlDeviceGetMPSComputeRunningProcesses, nvmlProcessInfo_v1_t, About::kOther)

nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device,
                                                   nvmlProcessDetailList_v1_t* request) {
  const auto real = HAMI_REAL_NVML(nvmlDeviceGetRunningProcessDetailList);
  if (real == nullptr) return NVML_ERROR_FUNCTION_NOT_FOUND;
  if (request == nullptr || request->version != kVersion1<nvmlProcessDetailList_v1_t>) {
    return real(device, request);
  }
  const About about = request->mode == NVML_PROCESS_MODE_COMPUTE ? About::kCompute : About::kOther;
  return ListProcesses(device, about, &request->count, request->infos,
                       [&](unsigned* count, nvmlProcessDetail_v1_t* infos) {
                         nvmlProcessDetailList_v1_t all = *request;
                         all.count = *count;
                         all.infos = infos;
                         const nvmlReturn_t result = real(device, &all);
                         *count = all.count;
                         return result;
                       });
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
                                             nvmlProcessUtilizationSample_t* samples,
                                             unsigned* count, unsigned long long last_seen_us) {
  const auto real = HAMI_REAL_NVML(nvmlDeviceGetProcessUtilization);
  if (real == nullptr) return NVML_ERROR_FUNCTION_NOT_FOUND;
  return ListSamples(device, count, samples, [&](unsigned* n, nvmlProcessUtilizationSample_t* all) {
    return real(device, all, n, last_seen_us);
  });
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
                                                   nvmlProcessesUtilizationInfo_v1_t* request) {
  const auto real = HAMI_REAL_NVML(nvmlDeviceGetProcessesUtilizationInfo);
  if (real == nullptr) return NVML_ERROR_FUNCTION_NOT_FOUND;
  if (request == nullptr || request->version != kVersion1<nvmlProcessesUtilizationInfo_v1_t>) {
    return real(device, request);
  }
  return ListSamples(device, &request->count, request->infos,
                     [&](unsigned* count, nvmlProcessUtilizationInfo_v1_t* infos) {
                       nvmlProcessesUtilizationInfo_v1_t all = *request;
                       all.count = *count;
                       all.infos = infos;
                       const nvmlReturn_t result = real(device, &all);
                       *count = all.count;
                       return result;
                     });
}

}  // extern "C"
