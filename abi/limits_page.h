/* limits.ro: one page of limits that a container can read and cannot write
 * (docs/formats/region.md). Written in place by the node plugin and monitor, because a file bind
 * mount does not follow a rename; mapped read-only by libvgpu.so. The effective limit is the
 * smaller of this page and the region. */
#pragma once

#include "abi/region_v1.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  HAMI_LIMITS_VERSION = 1,
  HAMI_LIMITS_SIZE = 4096,
  HAMI_LIMITS_DEVICES = 16,
  HAMI_LIMITS_PATH_SIZE = 256,
};

#define HAMI_LIMITS_MAGIC UINT64_C(0x314d494c494d4148) /* "HAMILIM1" in memory */
#define HAMI_LIMITS_FILE "limits.ro"                   /* beside libvgpu.so */

/* Bits of HamiLimitsPage.switches. */
#define HAMI_LIMITS_ALLOW_DISABLE_CONTROL (UINT32_C(1) << 0)
#define HAMI_LIMITS_OVERSUBSCRIBE (UINT32_C(1) << 1)

/* Values of HamiLimitsPage.policy, as GPU_CORE_UTILIZATION_POLICY. */
enum { HAMI_POLICY_DEFAULT = 0, HAMI_POLICY_FORCE = 1, HAMI_POLICY_DISABLE = 2 };

typedef struct {
  char uuid[HAMI_V1_UUID_SIZE];  /* NUL-terminated */
  uint64_t memory_limit;         /* bytes, 0 = none */
  uint64_t initial_memory_limit; /* bytes at the container's start: an equal environment value is
                                    the plugin's own */
  uint32_t core_percent;         /* 0 or >= 100 = none */
  uint32_t initial_core_percent;
  uint64_t phys_share; /* bytes of real memory behind the limit; 0 = all of it */
  uint64_t reserved[2];
} HamiLimitsDevice;

typedef struct {
  uint64_t magic;
  uint32_t version;
  uint32_t size;       /* HAMI_LIMITS_SIZE */
  uint64_t generation; /* odd while being written */
  uint32_t device_count;
  int32_t priority;
  uint32_t policy;
  uint32_t switches;
  uint8_t reserved0[24];
  char region_path[HAMI_LIMITS_PATH_SIZE]; /* of the shared region in the container; empty: the
                                              environment says it */
  uint8_t reserved1[192];
  HamiLimitsDevice devices[HAMI_LIMITS_DEVICES];
  uint8_t reserved2[HAMI_LIMITS_SIZE - 512 - 16 * 144];
} HamiLimitsPage;

HAMI_ABI_ASSERT(sizeof(HamiLimitsDevice) == 144);
HAMI_ABI_ASSERT(offsetof(HamiLimitsDevice, memory_limit) == 96);
HAMI_ABI_ASSERT(offsetof(HamiLimitsDevice, initial_memory_limit) == 104);
HAMI_ABI_ASSERT(offsetof(HamiLimitsDevice, core_percent) == 112);
HAMI_ABI_ASSERT(offsetof(HamiLimitsDevice, initial_core_percent) == 116);
HAMI_ABI_ASSERT(offsetof(HamiLimitsDevice, phys_share) == 120);
HAMI_ABI_ASSERT(sizeof(HamiLimitsPage) == HAMI_LIMITS_SIZE);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, magic) == 0);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, version) == 8);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, size) == 12);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, generation) == 16);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, device_count) == 24);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, priority) == 28);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, policy) == 32);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, switches) == 36);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, region_path) == 64);
HAMI_ABI_ASSERT(offsetof(HamiLimitsPage, devices) == 512);

#ifdef __cplusplus
}
#endif
