// Byte-range locks of an open file description (F_OFD_SETLK): the kernel drops them when the last
// reference dies, also on SIGKILL, in every pid and mount namespace.
//
// A lock never conflicts with another one through the same description, so threads of one process
// need a lock of their own beside it. Nothing here waits.
#pragma once

#include <cstdint>

#include "limiter/sys/syscall.h"

namespace hami::limiter::region {

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

// 0, or a negated error number: -EAGAIN or -EACCES when somebody else holds it.
inline int ChangeLock(int fd, short type, uint64_t start, uint64_t length) {
  struct flock range = {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(start);
  range.l_len = static_cast<off_t>(length);
  return static_cast<int>(sys::Syscall(SYS_fcntl, fd, F_OFD_SETLK, sys::Word(&range)));
}

inline bool TryLockRange(int fd, uint64_t start, uint64_t length) {
  return ChangeLock(fd, F_WRLCK, start, length) == 0;
}
inline void UnlockRange(int fd, uint64_t start, uint64_t length) {
  ChangeLock(fd, F_UNLCK, start, length);
}

}  // namespace hami::limiter::region
