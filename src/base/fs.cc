#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace hami {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string Parent(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> WriteAll(int fd, std::string_view data, const std::string& path) {
  while (!data.empty()) {
    ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(ErrnoError("write", path, errno));
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<void> SyncDir(const std::string& dir) {
  Fd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) return Fail(ErrnoError("sync", dir, errno));
  return {};
}

class DiskFileSystem final : public FileSystem {
 public:
  Result<std::string> Read(const std::string& path) override {
    Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return Fail(ErrnoError("open", path, errno));
    std::string out;
    char buffer[16384];
    for (;;) {
      ssize_t n = read(fd.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Fail(ErrnoError("read", path, errno));
      if (n == 0) return out;
      out.append(buffer, static_cast<size_t>(n));
    }
  }

  Result<void> WriteAtomic(const std::string& path, std::string_view data, mode_t mode) override {
    static std::atomic<unsigned> counter{0};
    std::string temp = path + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
    auto written = WriteTemp(temp, data, mode);
    if (written && rename(temp.c_str(), path.c_str()) != 0) {
      written = Fail(ErrnoError("rename", path, errno));
    }
    if (!written) {
      unlink(temp.c_str());
      return written;
    }
    return SyncDir(Parent(path));
  }

  Result<void> MakeDirs(const std::string& path, mode_t mode) override {
    std::error_code ec;
    std::filesystem::create_directories(path, ec);
    if (ec) return Fail(ErrnoError("create folder", path, ec.value()));
    if (chmod(path.c_str(), mode) != 0) return Fail(ErrnoError("chmod", path, errno));
    return {};
  }

  Result<void> Remove(const std::string& path) override {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      return Fail(ErrnoError("remove", path, errno));
    }
    return {};
  }

  Result<void> RemoveTree(const std::string& path) override {
    std::error_code ec;
    std::filesystem::remove_all(path, ec);
    if (ec) return Fail(ErrnoError("remove folder", path, ec.value()));
    return {};
  }

  Result<std::vector<std::string>> List(const std::string& dir) override {
    DIR* handle = opendir(dir.c_str());
    if (handle == nullptr) return Fail(ErrnoError("list", dir, errno));
    std::vector<std::string> names;
    while (dirent* entry = readdir(handle)) {
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
    closedir(handle);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<struct stat> Stat(const std::string& path) override {
    struct stat st {};
    if (stat(path.c_str(), &st) != 0) return Fail(ErrnoError("stat", path, errno));
    return st;
  }

 private:
  static Result<void> WriteTemp(const std::string& temp, std::string_view data, mode_t mode) {
    Fd fd(open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
    if (fd.get() < 0) return Fail(ErrnoError("create", temp, errno));
    if (fchmod(fd.get(), mode) != 0) return Fail(ErrnoError("chmod", temp, errno));
    TRY(WriteAll(fd.get(), data, temp));
    if (fsync(fd.get()) != 0) return Fail(ErrnoError("sync", temp, errno));
    return {};
  }
};

}  // namespace

FileSystem& RealFileSystem() {
  static DiskFileSystem fs;
  return fs;
}

Error ErrnoError(std::string_view operation, std::string_view path, int error_number) {
  Code code = Code::kInternal;
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      code = Code::kNotFound;
      break;
    case EEXIST:
      code = Code::kAlreadyExists;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = Code::kPermissionDenied;
      break;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      code = Code::kResourceExhausted;
      break;
    default:
      break;
  }
  std::string message(operation);
  message += ' ';
  message += path;
  message += ": ";
  message += std::strerror(error_number);
  return {code, std::move(message)};
}

}  // namespace hami
