// Forced into every translation unit of the simulated libraries (-include): binds functions whose
// default glibc version is newer than 2.17 to the version that old and new glibc both have, so that
// the libraries load into every glibc image (spec libvgpu.md C9).
#pragma once

#if defined(__x86_64__)
#define SIM_GLIBC_FLOOR "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define SIM_GLIBC_FLOOR "GLIBC_2.17"
#else
#error "the simulated drivers are made for x86-64 and aarch64"
#endif

#define SIM_PIN(name) __asm__(".symver " #name "," #name "@" SIM_GLIBC_FLOOR)

SIM_PIN(dladdr);
SIM_PIN(dlerror);
SIM_PIN(dlopen);
SIM_PIN(dlsym);
SIM_PIN(pthread_create);
SIM_PIN(pthread_join);
SIM_PIN(pthread_mutex_trylock);
SIM_PIN(pthread_sigmask);
