/* How a new region begins: one home for whoever makes the file, libvgpu.so or the node's plugin.
 * The caller has zeroed or reserved the file, holds the creation lock (bytes 0..HAMI_V1_SIZE-1) or
 * is alone, and stores HAMI_V1_MAGIC in initialized_flag with release order afterwards. */
#pragma once

#include <string.h>

#include "abi/region.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint64_t memory_limit[HAMI_V1_DEVICES]; /* bytes, 0 = none */
  uint64_t phys_share[HAMI_V1_DEVICES];   /* bytes, 0 = all of it is real */
  uint32_t sm_percent[HAMI_V1_DEVICES];
  char uuids[HAMI_V1_DEVICES][HAMI_V1_UUID_SIZE]; /* NUL-terminated, by NVML index; may be empty */
  uint64_t device_num;                            /* 0 = the first process asks NVML */
  int32_t priority;
  uint64_t unix_seconds;
  uint8_t boot_id[16];
} HamiRegionSeed;

/* Our block behind a prefix that is there already; limits are taken from the prefix. */
static inline void HamiInitBlock(HamiRegion* region, const uint8_t boot_id[16]) {
  HamiExtHeader* header = &region->ext.header;
  memset(&region->ext, 0, sizeof region->ext);
  header->ext_major = HAMI_EXT_MAJOR;
  header->ext_minor = HAMI_EXT_MINOR;
  header->ext_size = (uint32_t)sizeof(HamiExtBlock);
  memcpy(header->creator_boot_id, boot_id, 16);
  header->devices_offset = (uint32_t)offsetof(HamiExtHeader, devices);
  header->device_stride = (uint32_t)sizeof(HamiExtDevice);
  header->device_count = HAMI_EXT_DEVICES;
  header->slots_offset = HAMI_EXT_SLOTS_OFFSET;
  header->slot_stride = (uint32_t)sizeof(HamiExtSlot);
  header->slot_count = HAMI_EXT_SLOTS;
  header->slot_device_offset = (uint32_t)offsetof(HamiExtSlot, device);
  header->slot_device_stride = (uint32_t)sizeof(HamiExtSlotDevice);
  header->lock_slots = HAMI_LOCK_SLOTS;
  header->functions_offset = (uint32_t)offsetof(HamiExtBlock, functions);
  header->function_stride = (uint32_t)sizeof(HamiExtFunction);
  header->function_count = HAMI_EXT_FUNCTIONS;
  for (int i = 0; i < HAMI_EXT_DEVICES; ++i) {
    header->devices[i].initial_limit = region->v1.limit[i];
    header->devices[i].initial_core = region->v1.sm_limit[i];
  }
  __atomic_store_n(&header->ext_magic, HAMI_EXT_MAGIC, __ATOMIC_RELEASE);
}

/* What sem_init(..., pshared, 1) of glibc >= 2.21 writes: the reference posts and waits on it. */
static inline void HamiInitSemaphore(HamiV1Semaphore* semaphore) {
  semaphore->words[0] = 1;
  semaphore->words[1] = 0;
  semaphore->words[2] = 128;
}

/* Prefix and block. */
static inline void HamiInitRegion(HamiRegion* region, const HamiRegionSeed* seed) {
  HamiV1Region* v1 = &region->v1;
  memset(v1, 0, sizeof *v1);
  v1->major_version = HAMI_V1_MAJOR;
  v1->minor_version = HAMI_V1_MINOR;
  HamiInitSemaphore(&v1->sem);
  HamiInitSemaphore(&v1->sem_postinit);
  v1->device_num = seed->device_num;
  memcpy(v1->uuids, seed->uuids, sizeof v1->uuids);
  for (int i = 0; i < HAMI_V1_DEVICES; ++i) {
    v1->limit[i] = seed->memory_limit[i];
    v1->sm_limit[i] = seed->sm_percent[i];
  }
  v1->utilization_switch = 1;
  v1->recent_kernel = 2;
  v1->priority = seed->priority;
  v1->last_kernel_time = seed->unix_seconds;
  HamiInitBlock(region, seed->boot_id);
  for (int i = 0; i < HAMI_V1_DEVICES; ++i) {
    region->ext.header.devices[i].phys_share = seed->phys_share[i];
  }
}

#ifdef __cplusplus
}
#endif
