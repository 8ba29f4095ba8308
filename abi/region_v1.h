/* Shared region, version 1 prefix: the layout that the reference's library, monitor and third-party
 * readers know, byte for byte (docs/formats/region.md). Plain C, fixed widths, little endian,
 * identical on x86-64 and aarch64. Every process of a container and the node's monitor map it;
 * each word names its writer. Nothing may ever be added, moved or renamed here. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define HAMI_ABI_ASSERT(cond) static_assert(cond, #cond)
extern "C" {
#else
#define HAMI_ABI_ASSERT(cond) _Static_assert(cond, #cond)
#endif

enum {
  HAMI_V1_MAGIC = 19920718,
  HAMI_V1_MAJOR = 1,
  HAMI_V1_MINOR = 2,
  HAMI_V1_DEVICES = 16,
  HAMI_V1_SLOTS = 1024,
  HAMI_V1_UUID_SIZE = 96,
  HAMI_V1_SIZE = 2008952,
  HAMI_V1_FILE_SIZE = 2008953, /* the reference writes one byte behind the structure */
};

/* Values of HamiV1Slot.status. */
enum { HAMI_V1_ENDED = 0, HAMI_V1_RUNNING = 1, HAMI_V1_SUSPENDED = 2 };

typedef struct {
  uint64_t context_size; /* bytes */
  uint64_t module_size;  /* bytes; the reference never writes it */
  uint64_t data_size;    /* bytes */
  uint64_t offset;       /* never written */
  uint64_t total;        /* bytes: what the slot holds on this device */
  uint64_t unused[3];
} HamiV1Used;

typedef struct {
  uint64_t dec_util;
  uint64_t enc_util;
  uint64_t sm_util; /* percent */
  uint64_t unused[3];
} HamiV1Util;

typedef struct {
  int32_t pid;     /* as the container sees it; 0 = dead */
  int32_t hostpid; /* as the host sees it; 0 = unknown */
  HamiV1Used used[HAMI_V1_DEVICES];
  uint64_t monitorused[HAMI_V1_DEVICES]; /* bytes that NVML shows for hostpid */
  HamiV1Util device_util[HAMI_V1_DEVICES];
  int32_t status; /* HAMI_V1_ENDED, ... */
  int32_t padding;
  uint64_t seqlock; /* even: stable */
  uint64_t unused[2];
} HamiV1Slot;

/* sem_t of glibc (pshared, 64-bit), opaque: never operated by us, only initialised. */
typedef struct {
  uint32_t words[8];
} HamiV1Semaphore;

typedef struct {
  int32_t initialized_flag; /* HAMI_V1_MAGIC, stored last */
  uint32_t major_version;
  uint32_t minor_version;
  int32_t sm_init_flag;
  uint64_t owner_pid;                             /* holder of sem in the reference, 0 = free */
  HamiV1Semaphore sem;                            /* the reference's; left alone by us */
  uint64_t device_num;                            /* cards that NVML shows in the container */
  char uuids[HAMI_V1_DEVICES][HAMI_V1_UUID_SIZE]; /* NUL-terminated, index = NVML index */
  uint64_t limit[HAMI_V1_DEVICES];                /* bytes, 0 = none */
  uint64_t sm_limit[HAMI_V1_DEVICES];             /* percent, 0 or >= 100 = none */
  HamiV1Slot procs[HAMI_V1_SLOTS];
  int32_t proc_num;           /* slots 0..proc_num-1 are in use */
  int32_t utilization_switch; /* monitor: 1 = core limit engaged */
  int32_t recent_kernel;      /* launches and monitor: < 0 = blocked */
  int32_t priority;           /* 0 = high */
  uint64_t last_kernel_time;  /* unix seconds */
  HamiV1Semaphore sem_postinit;
} HamiV1Region;

HAMI_ABI_ASSERT(sizeof(HamiV1Used) == 64);
HAMI_ABI_ASSERT(offsetof(HamiV1Used, context_size) == 0);
HAMI_ABI_ASSERT(offsetof(HamiV1Used, module_size) == 8);
HAMI_ABI_ASSERT(offsetof(HamiV1Used, data_size) == 16);
HAMI_ABI_ASSERT(offsetof(HamiV1Used, offset) == 24);
HAMI_ABI_ASSERT(offsetof(HamiV1Used, total) == 32);
HAMI_ABI_ASSERT(sizeof(HamiV1Util) == 48);
HAMI_ABI_ASSERT(offsetof(HamiV1Util, dec_util) == 0);
HAMI_ABI_ASSERT(offsetof(HamiV1Util, enc_util) == 8);
HAMI_ABI_ASSERT(offsetof(HamiV1Util, sm_util) == 16);
HAMI_ABI_ASSERT(sizeof(HamiV1Slot) == 1960);
HAMI_ABI_ASSERT(offsetof(HamiV1Slot, pid) == 0);
HAMI_ABI_ASSERT(offsetof(HamiV1Slot, hostpid) == 4);
HAMI_ABI_ASSERT(offsetof(HamiV1Slot, used) == 8);
HAMI_ABI_ASSERT(offsetof(HamiV1Slot, monitorused) == 1032);
HAMI_ABI_ASSERT(offsetof(HamiV1Slot, device_util) == 1160);
HAMI_ABI_ASSERT(offsetof(HamiV1Slot, status) == 1928);
HAMI_ABI_ASSERT(offsetof(HamiV1Slot, seqlock) == 1936);
HAMI_ABI_ASSERT(offsetof(HamiV1Slot, unused) == 1944);
HAMI_ABI_ASSERT(sizeof(HamiV1Semaphore) == 32);
HAMI_ABI_ASSERT(sizeof(HamiV1Region) == HAMI_V1_SIZE);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, initialized_flag) == 0);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, major_version) == 4);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, minor_version) == 8);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, sm_init_flag) == 12);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, owner_pid) == 16);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, sem) == 24);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, device_num) == 56);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, uuids) == 64);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, limit) == 1600);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, sm_limit) == 1728);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, procs) == 1856);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, proc_num) == 2008896);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, utilization_switch) == 2008900);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, recent_kernel) == 2008904);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, priority) == 2008908);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, last_kernel_time) == 2008912);
HAMI_ABI_ASSERT(offsetof(HamiV1Region, sem_postinit) == 2008920);

#ifdef __cplusplus
}
#endif
