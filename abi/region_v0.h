/* Shared region, version 0: what the reference wrote before the region had a version
 * (docs/formats/region.md). For readers and for resizing; nobody makes it any more. */
#pragma once

#include "abi/region_v1.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HAMI_V0_SIZE = 1197896 };

typedef struct {
  uint64_t context_size; /* bytes, as all of these */
  uint64_t module_size;
  uint64_t data_size;
  uint64_t offset;
  uint64_t total;
} HamiV0Used;

typedef struct {
  uint64_t dec_util;
  uint64_t enc_util;
  uint64_t sm_util; /* percent */
} HamiV0Util;

typedef struct {
  int32_t pid;
  int32_t hostpid;
  HamiV0Used used[HAMI_V1_DEVICES];
  uint64_t monitorused[HAMI_V1_DEVICES];
  HamiV0Util device_util[HAMI_V1_DEVICES];
  int32_t status; /* HAMI_V1_ENDED, ... */
  int32_t padding;
} HamiV0Slot;

typedef struct {
  int32_t initialized_flag; /* HAMI_V1_MAGIC */
  int32_t sm_init_flag;
  uint32_t owner_pid;
  HamiV1Semaphore sem;
  uint32_t padding;
  uint64_t device_num;
  char uuids[HAMI_V1_DEVICES][HAMI_V1_UUID_SIZE];
  uint64_t limit[HAMI_V1_DEVICES];
  uint64_t sm_limit[HAMI_V1_DEVICES];
  HamiV0Slot procs[HAMI_V1_SLOTS];
  int32_t proc_num;
  int32_t utilization_switch;
  int32_t recent_kernel;
  int32_t priority;
} HamiV0Region;

HAMI_ABI_ASSERT(sizeof(HamiV0Used) == 40);
HAMI_ABI_ASSERT(sizeof(HamiV0Util) == 24);
HAMI_ABI_ASSERT(sizeof(HamiV0Slot) == 1168);
HAMI_ABI_ASSERT(offsetof(HamiV0Slot, used) == 8);
HAMI_ABI_ASSERT(offsetof(HamiV0Slot, monitorused) == 648);
HAMI_ABI_ASSERT(offsetof(HamiV0Slot, device_util) == 776);
HAMI_ABI_ASSERT(offsetof(HamiV0Slot, status) == 1160);
HAMI_ABI_ASSERT(sizeof(HamiV0Region) == HAMI_V0_SIZE);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, owner_pid) == 8);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, sem) == 12);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, device_num) == 48);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, uuids) == 56);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, limit) == 1592);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, sm_limit) == 1720);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, procs) == 1848);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, proc_num) == 1197880);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, utilization_switch) == 1197884);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, recent_kernel) == 1197888);
HAMI_ABI_ASSERT(offsetof(HamiV0Region, priority) == 1197892);

#ifdef __cplusplus
}
#endif
