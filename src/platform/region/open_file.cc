#include "platform/region/open_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fs.h"

namespace hami::region {

Result<File> File::Open(const std::string& path, bool may_write) {
  const int flags = (may_write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  const int fd = open(path.c_str(), flags);
  if (fd < 0 && errno == ELOOP) {
    return Fail(Code::kFailedPrecondition, path + ": a symbolic link, expected a regular file");
  }
  if (fd < 0) return Fail(ErrnoError("open", path, errno));
  struct stat status = {};
  File file(fd, 0);
  if (fstat(fd, &status) != 0) return Fail(ErrnoError("stat", path, errno));
  if (!S_ISREG(status.st_mode)) {
    return Fail(Code::kFailedPrecondition, path + ": expected a regular file");
  }
  file.size_ = static_cast<uint64_t>(status.st_size);
  return file;
}

File::~File() {
  if (fd_ >= 0) close(fd_);
}

Result<std::string> File::Read(const std::string& path, uint64_t most) const {
  std::string bytes(std::min(size_, most), '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count =
        pread(fd_, bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(ErrnoError("read", path, errno));
    if (count == 0) break;  // cut short meanwhile
    filled += static_cast<size_t>(count);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace hami::region
