// Forced into every translation unit of libvgpu.so (-include): binds each libc function whose
// default version is newer than 2.17 to the version that old and new glibc both have (spec C9).
#pragma once

#if defined(__x86_64__)
#define HAMI_GLIBC_FLOOR "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define HAMI_GLIBC_FLOOR "GLIBC_2.17"
#endif

#define HAMI_PIN(name) __asm__(".symver " #name "," #name "@" HAMI_GLIBC_FLOOR)

HAMI_PIN(dladdr);
HAMI_PIN(dlclose);
HAMI_PIN(dlerror);
HAMI_PIN(dlopen);
HAMI_PIN(memcpy);
HAMI_PIN(pthread_attr_init);
HAMI_PIN(pthread_attr_setstacksize);
HAMI_PIN(pthread_create);
