/* Every environment variable that libvgpu.so or its neighbours know; range and default are part of
 * the line. <size>: decimal integer or fraction, optional blanks, suffix in any case: none, k m g
 * t, ki mi gi ti, kb mb gb, kib mib gib (all binary), or 0x... hexadecimal; 0 or empty = no limit.
 */
#pragma once

/* Read by libvgpu.so */
/* One variable a line, its range and default in that line. */
/* clang-format off */
#define HAMI_ENV_MEMORY_LIMIT "CUDA_DEVICE_MEMORY_LIMIT"    /* <size>; unset = no limit; all devices */
#define HAMI_ENV_MEMORY_LIMIT_I "CUDA_DEVICE_MEMORY_LIMIT_" /* + 0..15: <size>; unset = the above */
#define HAMI_ENV_SM_LIMIT "CUDA_DEVICE_SM_LIMIT"            /* int 0..100; 0, unset = no limit */
#define HAMI_ENV_SM_LIMIT_I "CUDA_DEVICE_SM_LIMIT_"         /* + 0..15: int 0..100; unset = the above */
#define HAMI_ENV_SHARED_CACHE "CUDA_DEVICE_MEMORY_SHARED_CACHE" /* path; /tmp/cudevshr.cache */
#define HAMI_ENV_CORE_POLICY "GPU_CORE_UTILIZATION_POLICY"      /* default force disable, any case */
#define HAMI_ENV_RECORD_INTERVAL "RECORD_KERNEL_INTERVAL"       /* int seconds >= 0; 1 */
#define HAMI_ENV_TASK_PRIORITY "CUDA_TASK_PRIORITY"             /* int >= 0, 0 = high; 1 */
#define HAMI_ENV_LOG_LEVEL "LIBCUDA_LOG_LEVEL" /* 0..4; unset = errors and warnings only */
#define HAMI_ENV_NVML_PROCESSES "HAMI_NVML_PROCESSES" /* container, raw; container: NVML lists the
                                                         container's processes by its own pids */
#define HAMI_ENV_DISABLE_CONTROL "CUDA_DISABLE_CONTROL" /* 1 t T TRUE true True, 0 f F FALSE false
                                  False; needs the switch in limits.ro; unset = false */
#define HAMI_ENV_OVERSUBSCRIBE "CUDA_OVERSUBSCRIBE"     /* bool as above; or the switch in limits.ro */
/* Accepted as the reference accepts it, where nothing reads it: nobody is ever killed. */
#define HAMI_ENV_OOM_KILLER "ACTIVE_OOM_KILLER" /* bool as above; true */
/* Never read: libvgpu.so finds its own functions without a path. */
#define HAMI_ENV_REDIRECT "CUDA_REDIRECT" /* path */

/* Where things lie when nothing else is said. */
#define HAMI_DEFAULT_SHARED_CACHE "/tmp/cudevshr.cache"
#define HAMI_OVERRIDE_FILE "/overrideEnv" /* NAME=VALUE lines, 4 KiB: the limits, where lower; the
                                             core policy, where force; LIBCUDA_LOG_LEVEL */
/* clang-format on */
