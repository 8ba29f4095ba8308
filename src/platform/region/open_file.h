// Opens a file that a container's user may have put there: never through a symbolic link, never
// waiting for a pipe. The descriptor belongs to the File. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace hami::region {

class File {
 public:
  // kNotFound, kPermissionDenied, kFailedPrecondition (not a regular file), ...
  static Result<File> Open(const std::string& path, bool may_write);

  File(File&& other) noexcept : fd_(other.fd_), size_(other.size_) { other.fd_ = -1; }
  File& operator=(File&&) = delete;
  ~File();

  int fd() const { return fd_; }
  uint64_t size() const { return size_; }  // when it was opened
  // At most `most` bytes from the beginning.
  Result<std::string> Read(const std::string& path, uint64_t most) const;

 private:
  File(int fd, uint64_t size) : fd_(fd), size_(size) {}

  int fd_;
  uint64_t size_;
};

}  // namespace hami::region
