// Mutex, RecursiveMutex, MutexLock and CondVar: the standard library's, with the words that clang's
// thread-safety analysis reads (tools/check_threads); and GUARDED_BY, which names the mutex that a
// field needs, right behind the field. Nothing of it costs anything at run time.
//
//   Mutex mutex_;
//   std::deque<Task> queue_ GUARDED_BY(mutex_);
//
//   MutexLock lock(mutex_);
//   while (queue_.empty()) wake_.Wait(mutex_);
//
// A loop around Wait, because the analysis does not look into predicates.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/clock.h"

#if defined(__clang__)
#define HAMI_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define HAMI_THREAD_ANNOTATION(x)
#endif

#ifndef GUARDED_BY  // gRPC's headers bring abseil's, which means the same
#define GUARDED_BY(x) HAMI_THREAD_ANNOTATION(guarded_by(x))
#endif
// For functions that are called with the mutex held.
#define HAMI_REQUIRES(x) HAMI_THREAD_ANNOTATION(requires_capability(x))

namespace hami {

template <class Std>
class HAMI_THREAD_ANNOTATION(capability("mutex")) BasicMutex {
 public:
  void Lock() HAMI_THREAD_ANNOTATION(acquire_capability()) { std_.lock(); }
  void Unlock() HAMI_THREAD_ANNOTATION(release_capability()) { std_.unlock(); }

 private:
  friend class CondVar;
  Std std_;
};
using Mutex = BasicMutex<std::mutex>;
using RecursiveMutex = BasicMutex<std::recursive_mutex>;

// Holds a mutex to the end of the scope, but for what lies between Unlock and Lock.
template <class M>
class HAMI_THREAD_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(M& mutex) HAMI_THREAD_ANNOTATION(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() HAMI_THREAD_ANNOTATION(release_capability()) {
    if (held_) mutex_.Unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Unlock() HAMI_THREAD_ANNOTATION(release_capability()) {
    held_ = false;
    mutex_.Unlock();
  }
  void Lock() HAMI_THREAD_ANNOTATION(acquire_capability()) {
    mutex_.Lock();
    held_ = true;
  }

 private:
  M& mutex_;
  bool held_ = true;
};

// The mutex is held before and after each wait, and not in between. Waits may end for no reason.
class CondVar {
 public:
  void Wait(Mutex& mutex) HAMI_REQUIRES(mutex) {
    std::unique_lock lock(mutex.std_, std::adopt_lock);
    std_.wait(lock);
    lock.release();
  }
  // False: the time has come.
  bool WaitUntil(Mutex& mutex, MonoTime when) HAMI_REQUIRES(mutex) {
    std::unique_lock lock(mutex.std_, std::adopt_lock);
    const bool in_time = std_.wait_until(lock, when) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }
  void NotifyOne() { std_.notify_one(); }
  void NotifyAll() { std_.notify_all(); }

 private:
  std::condition_variable std_;
};

}  // namespace hami
