// Kernels as PTX, which the driver compiles for the card that is there. Their names tell the
// simulated card how long they take (sim/README.md); it runs nothing and writes nothing.
#include <cstdio>

#include "tests/gpu/driver.h"

namespace hami::gpu {
namespace {

// One thread that looks at the card's own clock (nanoseconds) until the time is over.
constexpr char kPtx[] = R"(.version %s
.target sm_%d
.address_size 64
.visible .entry k_2000us_spin(.param .u64 out, .param .u64 ns)
{
  .reg .u64 %%at, %%span, %%begin, %%now, %%passed;
  .reg .pred %%again;
  ld.param.u64 %%at, [out];
  ld.param.u64 %%span, [ns];
  cvta.to.global.u64 %%at, %%at;
  mov.u64 %%begin, %%globaltimer;
LOOP:
  mov.u64 %%now, %%globaltimer;
  sub.u64 %%passed, %%now, %%begin;
  setp.lt.u64 %%again, %%passed, %%span;
  @%%again bra LOOP;
  st.global.u64 [%%at], %%begin;
  st.global.u64 [%%at+8], %%now;
  ret;
}
.visible .entry k_4us_nothing()
{
  ret;
}
)";
constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

}  // namespace

Kernels LoadKernels(const Driver& driver) {
  int major = 0, minor = 0;
  Must(driver.device_attribute(&major, kMajor, 0), "cuDeviceGetAttribute");
  Must(driver.device_attribute(&minor, kMinor, 0), "cuDeviceGetAttribute");
  // The oldest target that drivers of the card's age still take.
  const bool turing = major * 10 + minor >= 75;
  char ptx[sizeof kPtx + 16];
  snprintf(ptx, sizeof ptx, kPtx, turing ? "6.3" : "5.0", turing ? 75 : 50);
  void* module = nullptr;
  Kernels kernels = {};
  Must(driver.load_module(&module, ptx), "cuModuleLoadData of the kernels");
  Must(driver.find_function(&kernels.spin, module, "k_2000us_spin"), "cuModuleGetFunction spin");
  Must(driver.find_function(&kernels.nothing, module, "k_4us_nothing"),
       "cuModuleGetFunction nothing");
  return kernels;
}

}  // namespace hami::gpu
