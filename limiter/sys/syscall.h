// System calls without libc: no errno, no cancellation point, no symbol version to pin.
//
// Every function returns the kernel's value: >= 0, or a negated error number. Any thread, also
// inside a signal handler or a forked child.
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include <cstddef>
#include <cstdint>

namespace hami::limiter::sys {

// Six machine words in, one out.
inline long Syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                    long f = 0) {
#if defined(__x86_64__)
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
#else
#error "unsupported architecture"
#endif
}

inline long Word(const volatile void* pointer) { return reinterpret_cast<long>(pointer); }

inline int Open(const char* path, int flags, unsigned mode = 0) {
  return static_cast<int>(Syscall(SYS_openat, AT_FDCWD, Word(path), flags, mode));
}
inline int Close(int fd) { return static_cast<int>(Syscall(SYS_close, fd)); }
inline long Read(int fd, void* buffer, size_t size) {
  return Syscall(SYS_read, fd, Word(buffer), static_cast<long>(size));
}
inline long ReadAt(int fd, void* buffer, size_t size, uint64_t offset) {
  return Syscall(SYS_pread64, fd, Word(buffer), static_cast<long>(size), static_cast<long>(offset));
}
inline long Write(int fd, const void* buffer, size_t size) {
  return Syscall(SYS_write, fd, Word(buffer), static_cast<long>(size));
}
inline int Stat(int fd, struct stat* out) {
  return static_cast<int>(Syscall(SYS_fstat, fd, Word(out)));
}
inline int Chmod(int fd, unsigned mode) { return static_cast<int>(Syscall(SYS_fchmod, fd, mode)); }
inline int Allocate(int fd, int64_t size) {
  return static_cast<int>(Syscall(SYS_fallocate, fd, 0, 0, size));
}
inline int DuplicateAbove(int fd, int lowest) {
  return static_cast<int>(Syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest));
}
inline long ReadLink(const char* path, char* buffer, size_t size) {
  return Syscall(SYS_readlinkat, AT_FDCWD, Word(path), Word(buffer), static_cast<long>(size));
}
#ifdef __SANITIZE_THREAD__  // has to see memory change hands
inline void* Map(size_t size, int protection, int flags, int fd) {
  void* map = mmap(nullptr, size, protection, flags, fd, 0);
  return map == MAP_FAILED ? nullptr : map;
}
inline int Unmap(void* address, size_t size) { return munmap(address, size); }
#else
inline void* Map(size_t size, int protection, int flags, int fd) {
  const long result = Syscall(SYS_mmap, 0, static_cast<long>(size), protection, flags, fd, 0);
  return result < 0 && result > -4096 ? nullptr : reinterpret_cast<void*>(result);
}
inline int Unmap(void* address, size_t size) {
  return static_cast<int>(Syscall(SYS_munmap, Word(address), static_cast<long>(size)));
}
#endif
inline int32_t GetPid() { return static_cast<int32_t>(Syscall(SYS_getpid)); }
// From an address of this process that may not be readable: an error then, no signal.
inline long CopyOwnMemory(void* to, uint64_t from, size_t size) {
  const iovec local{to, size};
  const iovec remote{reinterpret_cast<void*>(from), size};
  return Syscall(SYS_process_vm_readv, GetPid(), Word(&local), 1, Word(&remote), 1, 0);
}
inline int32_t GetTid() { return static_cast<int32_t>(Syscall(SYS_gettid)); }
inline void Yield() { Syscall(SYS_sched_yield); }

inline uint64_t NowNs(clockid_t clock) {
  timespec now{};
  Syscall(SYS_clock_gettime, clock, Word(&now));
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}
inline void SleepNs(uint64_t ns) {
  timespec duration{static_cast<time_t>(ns / 1000000000u), static_cast<long>(ns % 1000000000u)};
  Syscall(SYS_nanosleep, Word(&duration), 0);
}

inline void FutexWait(const uint32_t* word, uint32_t expected) {
  Syscall(SYS_futex, Word(word), FUTEX_WAIT_PRIVATE, expected, 0);
}
// The same on a word that other processes map too, for `timeout_ns` at most.
inline void FutexWaitShared(const void* word, uint32_t expected, uint64_t timeout_ns) {
  timespec timeout{static_cast<time_t>(timeout_ns / 1000000000u),
                   static_cast<long>(timeout_ns % 1000000000u)};
  Syscall(SYS_futex, Word(word), FUTEX_WAIT, expected, Word(&timeout));
}
inline void FutexWaitFor(const uint32_t* word, uint32_t expected, uint64_t timeout_ns) {
  timespec timeout{static_cast<time_t>(timeout_ns / 1000000000u),
                   static_cast<long>(timeout_ns % 1000000000u)};
  Syscall(SYS_futex, Word(word), FUTEX_WAIT_PRIVATE, expected, Word(&timeout));
}
inline void FutexWake(const uint32_t* word, int count) {
  Syscall(SYS_futex, Word(word), FUTEX_WAKE_PRIVATE, count);
}

}  // namespace hami::limiter::sys
