// FileSystem: the seam between services and the disk, so that tests can make it fail.
//
// Thread-safe (stateless). Errors: kNotFound, kPermissionDenied, kAlreadyExists, kResourceExhausted
// (disk full), kInternal; the message names operation and path.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hami {

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::string> Read(const std::string& path) = 0;
  // Temporary file in the same folder, fsync, rename, fsync of the folder: after a crash either the
  // old or the new content is there. Never changes the inode that somebody has mapped.
  virtual Result<void> WriteAtomic(const std::string& path, std::string_view data, mode_t mode) = 0;
  // Creates parents as needed; sets the mode of the last one exactly (no umask).
  virtual Result<void> MakeDirs(const std::string& path, mode_t mode) = 0;
  virtual Result<void> Remove(const std::string& path) = 0;                   // absent is fine
  virtual Result<void> RemoveTree(const std::string& path) = 0;               // absent is fine
  virtual Result<std::vector<std::string>> List(const std::string& dir) = 0;  // names, sorted
  virtual Result<struct stat> Stat(const std::string& path) = 0;
  bool Exists(const std::string& path) { return Stat(path).has_value(); }
};

FileSystem& RealFileSystem();

// "read /a/b: No such file or directory" with the code that fits errno.
Error ErrnoError(std::string_view operation, std::string_view path, int error_number);

}  // namespace hami
