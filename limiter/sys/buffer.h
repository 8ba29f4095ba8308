// Room for as many items as a call happens to need, without malloc.
#pragma once

#include "limiter/sys/syscall.h"

namespace hami::limiter::sys {

// An array in memory of its own, all zeros. `ok` before anything else: there may be no memory.
template <class T>
class Buffer {
 public:
  explicit Buffer(size_t capacity) : capacity_(capacity) {
    items_ = static_cast<T*>(
        Map(capacity * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1));
  }
  ~Buffer() {
    if (items_ != nullptr) Unmap(items_, capacity_ * sizeof(T));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() { return items_; }
  T& operator[](size_t at) { return items_[at]; }
  bool ok() const { return items_ != nullptr; }

 private:
  size_t capacity_;
  T* items_ = nullptr;
};

}  // namespace hami::limiter::sys
