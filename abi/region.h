/* Shared region: the version 1 prefix (region_v1.h) and our own block behind it
 * (docs/formats/region.md). One file of 4 MiB, mapped MAP_SHARED from offset 0.
 *
 * Rules for version skew: a reader that does not know ext_major uses the prefix only; counts,
 * strides and offsets are read from the header, never from sizeof; unknown bits and words are
 * ignored and never cleared. Fixed widths only, no pointers, no libc types. */
#pragma once

#include "abi/region_v1.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  HAMI_EXT_OFFSET = 2009088, /* of our block in the file: 7848 * 256 */
  HAMI_EXT_MAJOR = 1,
  HAMI_EXT_MINOR = 2,           /* 1: core limit; 2: functions */
  HAMI_EXT_SLOTS_OFFSET = 8192, /* of the slot array in our block */
  HAMI_EXT_SLOTS = 1024,
  HAMI_EXT_DEVICES = 16,
  HAMI_EXT_FUNCTIONS = 4096, /* behind the slots */
  HAMI_REGION_FILE_SIZE = 4194304,
};

/* Bits of HamiExtHeader.feature_bits. */
#define HAMI_FEATURE_UNKNOWN_ABI                                                  \
  UINT64_C(1) /* a program was given a form of a hooked function that the library \
                 does not know: what it takes is not limited */

#define HAMI_EXT_MAGIC UINT64_C(0x31505043494d4148) /* "HAMICPP1" in memory */

/* Byte ranges that are locked with fcntl open-file-description locks. They lie beyond the end of
 * the file, because the reference locks bytes 0..HAMI_V1_SIZE-1 blocking. */
#define HAMI_LOCK_SLOTS (UINT64_C(1) << 40)        /* + slot: held while the slot's owner lives */
#define HAMI_LOCK_LIMITS (HAMI_LOCK_SLOTS + 65536) /* held while limits are written */

/* Values of HamiExtSlot.state. */
enum { HAMI_SLOT_FREE = 0, HAMI_SLOT_CLAIMING = 1, HAMI_SLOT_LIVE = 2, HAMI_SLOT_REAPING = 3 };

/* Two kinds of word carry a tag in their upper 16 bits, so that a reader can tell "unchanged" from
 * "changed and changed back": HamiExtDevice.used_total (tag: number of changes) and
 * HamiExtSlot.pending (tag: number of operations begun). The lower 48 bits are bytes. */
#define HAMI_BYTES_MASK ((UINT64_C(1) << 48) - 1)
#define HAMI_TAG_ONE (UINT64_C(1) << 48)

/* Kinds of memory in HamiExtSlotDevice.bytes. */
enum {
  HAMI_KIND_DATA = 0,    /* plain, pitched, array */
  HAMI_KIND_CONTEXT = 1, /* what the driver takes per context */
  HAMI_KIND_MODULE = 2,  /* code and static data of modules */
  HAMI_KIND_VMM = 3,     /* physical memory made by cuMemCreate */
  HAMI_KIND_POOL = 4,    /* reserved by stream-ordered pools */
  HAMI_KIND_MANAGED = 5, /* managed memory, the resident part */
  HAMI_KINDS = 6,
};

/* One device, 256 bytes: a line for the total, one for facts, one for the core limit's bucket, one
 * for its facts. A file of minor 0 has zeros in the last two, which mean the same here. */
typedef struct {
  uint64_t used_total; /* tagged bytes: container-wide, changed by compare-and-swap only */
  uint64_t line0_reserved[7];
  uint64_t context_size;  /* bytes of one context, learned; 0 = unknown */
  uint64_t initial_limit; /* bytes in limit[] at creation: an equal value in the environment is the
                             creator's own and does not hold a later resize back */
  uint64_t phys_share;    /* bytes of real memory behind the limit; 0 = all of it */
  uint64_t line1_reserved[5];
  int64_t core_tokens;     /* ns of device time that may be used now; negative = debt */
  uint64_t core_refill_ns; /* CLOCK_MONOTONIC of the last refill, 0 = never */
  uint64_t core_turn_ns; /* CLOCK_MONOTONIC at which the turn of a process that measures a function
                            for the first time ends; 0 = nobody has it */
  uint64_t line2_reserved[5];
  uint64_t initial_core; /* percent in sm_limit[] at creation, as initial_limit; 0 = unknown */
  uint64_t line3_reserved[7];
} HamiExtDevice;

typedef struct {
  uint64_t bytes[HAMI_KINDS];
  uint64_t busy_ns;
  uint64_t launches;
} HamiExtSlotDevice;

/* One process, 19 lines. Written by its owner only, but for state (see docs/formats/region.md). */
typedef struct {
  uint32_t state; /* HAMI_SLOT_* */
  uint32_t epoch; /* +1 at each claim */
  int32_t pid;    /* in the pid namespace pidns_inode */
  int32_t host_pid;
  uint64_t pidns_inode;
  uint64_t start_ticks;  /* field 22 of /proc/<pid>/stat */
  uint64_t free_seen_ns; /* CLOCK_BOOTTIME when the lock was first seen free, 0 = not */
  uint8_t contexts[HAMI_EXT_DEVICES]; /* how many contexts it has on each device */
  uint64_t line0_reserved;
  uint64_t pending[HAMI_EXT_DEVICES]; /* tagged bytes: begun, not finished */
  HamiExtSlotDevice device[HAMI_EXT_DEVICES];
} HamiExtSlot;

/* What the container's processes learned of one function on one device: the shortest samples of two
 * spans of time. In their words the lower 36 bits are ns, the next 4 count the samples that were
 * about as short (15: or more), and the upper 24 are those of the key: a word that was meant for
 * another function is known as such. */
typedef struct {
  uint64_t key;      /* the same in each process that has the function; 0 = free */
  uint64_t current;  /* of the span that lasts; 0 = no sample */
  uint64_t former;   /* of the one before */
  uint64_t began_ns; /* CLOCK_MONOTONIC at which the span that lasts began */
} HamiExtFunction;

#define HAMI_FUNCTION_NS_BITS 36
#define HAMI_FUNCTION_TAG_SHIFT 40

typedef struct {
  /* line 0: identity, constant after creation */
  uint64_t ext_magic;
  uint16_t ext_major;
  uint16_t ext_minor;
  uint32_t ext_size; /* bytes of our block that are laid out */
  uint64_t feature_bits;
  uint8_t creator_boot_id[16];
  uint64_t generation; /* +1 whenever limits change */
  uint64_t flags;
  uint64_t line0_reserved;
  /* line 1: geometry, constant after creation; offsets from the start of our block */
  uint32_t devices_offset;
  uint32_t device_stride;
  uint32_t device_count;
  uint32_t slots_offset;
  uint32_t slot_stride;
  uint32_t slot_count;
  uint32_t slot_device_offset; /* in a slot */
  uint32_t slot_device_stride;
  uint64_t lock_slots; /* HAMI_LOCK_SLOTS */
  uint32_t functions_offset;
  uint32_t function_stride;
  uint32_t function_count; /* 0: a file of minor 1 or less */
  uint32_t line1_pad;
  uint64_t line1_reserved;
  /* line 2: limits */
  uint64_t limits_seq;  /* odd while plugin or monitor write limit[], sm_limit[], phys_share */
  uint32_t limits_wake; /* futex: bumped after each change */
  uint32_t line2_pad;
  uint64_t line2_reserved[6];
  /* line 3: monitor */
  uint64_t monitor_heartbeat_ns; /* CLOCK_BOOTTIME; 0 = a monitor that does not write it */
  uint64_t line3_reserved[7];
  /* line 4: what went wrong, counted */
  uint64_t saturated;   /* subtractions that would have gone below zero */
  uint64_t reaped;      /* slots of dead processes given back */
  uint64_t repaired;    /* totals lowered to the sum of the slots */
  uint64_t refused;     /* allocations refused */
  uint64_t unaccounted; /* driver gave more than could be reserved */
  uint64_t line4_reserved[3];
  uint64_t reserved[24];
  HamiExtDevice devices[HAMI_EXT_DEVICES];
} HamiExtHeader;

typedef struct {
  HamiExtHeader header;
  uint8_t padding[HAMI_EXT_SLOTS_OFFSET - sizeof(HamiExtHeader)];
  HamiExtSlot slots[HAMI_EXT_SLOTS];
  HamiExtFunction functions[HAMI_EXT_FUNCTIONS];
} HamiExtBlock;

/* The whole file. */
typedef struct {
  HamiV1Region v1;
  uint8_t v1_tail[HAMI_EXT_OFFSET -
                  sizeof(HamiV1Region)]; /* byte 0 is written by each reference library */
  HamiExtBlock ext;
} HamiRegion;

HAMI_ABI_ASSERT(sizeof(HamiExtDevice) == 256);
HAMI_ABI_ASSERT(offsetof(HamiExtDevice, used_total) == 0);
HAMI_ABI_ASSERT(offsetof(HamiExtDevice, context_size) == 64);
HAMI_ABI_ASSERT(offsetof(HamiExtDevice, initial_limit) == 72);
HAMI_ABI_ASSERT(offsetof(HamiExtDevice, phys_share) == 80);
HAMI_ABI_ASSERT(offsetof(HamiExtDevice, core_tokens) == 128);
HAMI_ABI_ASSERT(offsetof(HamiExtDevice, core_refill_ns) == 136);
HAMI_ABI_ASSERT(offsetof(HamiExtDevice, initial_core) == 192);
HAMI_ABI_ASSERT(sizeof(HamiExtSlotDevice) == 64);
HAMI_ABI_ASSERT(offsetof(HamiExtSlotDevice, busy_ns) == 48);
HAMI_ABI_ASSERT(offsetof(HamiExtSlotDevice, launches) == 56);
HAMI_ABI_ASSERT(sizeof(HamiExtSlot) == 19 * 64);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, state) == 0);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, epoch) == 4);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, pid) == 8);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, host_pid) == 12);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, pidns_inode) == 16);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, start_ticks) == 24);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, free_seen_ns) == 32);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, contexts) == 40);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, pending) == 64);
HAMI_ABI_ASSERT(offsetof(HamiExtSlot, device) == 192);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, ext_magic) == 0);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, ext_major) == 8);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, ext_minor) == 10);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, ext_size) == 12);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, feature_bits) == 16);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, creator_boot_id) == 24);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, generation) == 40);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, flags) == 48);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, devices_offset) == 64);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, lock_slots) == 96);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, functions_offset) == 104);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, function_count) == 112);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, limits_seq) == 128);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, limits_wake) == 136);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, monitor_heartbeat_ns) == 192);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, saturated) == 256);
HAMI_ABI_ASSERT(offsetof(HamiExtHeader, devices) == 512);
HAMI_ABI_ASSERT(sizeof(HamiExtHeader) == 512 + 16 * 256);
HAMI_ABI_ASSERT(offsetof(HamiExtBlock, slots) == HAMI_EXT_SLOTS_OFFSET);
HAMI_ABI_ASSERT(sizeof(HamiExtFunction) == 32);
HAMI_ABI_ASSERT(offsetof(HamiExtBlock, functions) == 1253376);
HAMI_ABI_ASSERT(offsetof(HamiRegion, ext) == HAMI_EXT_OFFSET);
HAMI_ABI_ASSERT(sizeof(HamiRegion) <= HAMI_REGION_FILE_SIZE);

#ifdef __cplusplus
}
#endif
