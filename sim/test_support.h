// What the tests of sim/ share: a machine of their own (folder, cards.yaml, state) and children
// that load the simulated libraries as foreign programs do. The test process itself never starts
// CUDA, so its children may.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "sim/core/ledger.h"

namespace hami::sim {

class MachineTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hami-sim-test-XXXXXX";
    folder_ = mkdtemp(name);
    setenv("FAKEGPU_CONFIG", (folder_ + "/cards.yaml").c_str(), 1);
    for (const char* other :
         {"FAKEGPU_STATE", "FAKEGPU_DEV", "FAKEGPU_COUNT", "FAKEGPU_MEM_MB", "FAKEGPU_FAIL",
          "FAKEGPU_SCHEDULING", "FAKEGPU_CUDA", "FAKEGPU_CTX_MB", "CUDA_VISIBLE_DEVICES"}) {
      unsetenv(other);
    }
  }
  void TearDown() override {
    ledger_.Close();
    std::filesystem::remove_all(folder_);
  }

  void WriteCards(const std::string& text) {
    std::ofstream(folder_ + "/cards.new") << text;
    std::filesystem::rename(folder_ + "/cards.new", folder_ + "/cards.yaml");
  }

  // The judge: the shared books, seen by a process that holds nothing.
  Ledger& Books() {
    if (!ledger_.is_open()) {
      ReadError error;
      EXPECT_TRUE(ledger_.Open((folder_ + "/state").c_str(), true, error)) << error.text;
    }
    return ledger_;
  }
  uint64_t UsedNow(int card) {
    Books().Reap();
    return Books().Used(card);
  }

  std::string folder_;
  Ledger ledger_;
};

// A process that runs body and leaves with its result.
class Child {
 public:
  explicit Child(const std::function<int()>& body) {
    int pipes[2][2];
    if (pipe(pipes[0]) != 0 || pipe(pipes[1]) != 0) abort();
    pid_ = fork();
    if (pid_ == 0) {
      close(pipes[0][0]);
      close(pipes[1][1]);
      ToParent() = pipes[0][1];
      FromParent() = pipes[1][0];
      _exit(body());
    }
    close(pipes[0][1]);
    close(pipes[1][0]);
    from_ = pipes[0][0];
    to_ = pipes[1][1];
  }
  ~Child() {
    if (pid_ > 0) Kill();
    close(from_);
    close(to_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Waits until the child says so; false when it ended instead.
  bool AwaitWord() {
    char c = 0;
    return read(from_, &c, 1) == 1;
  }
  void SayGo() {
    if (write(to_, "g", 1) != 1) ADD_FAILURE() << "child " << pid_ << " does not listen";
  }
  void Kill() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // Exit code; -1 for a signal.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  pid_t pid() const { return pid_; }

  // In the child.
  static void SayReady() {
    if (write(ToParent(), "r", 1) != 1) _exit(99);
  }
  static void AwaitGo() {
    char c = 0;
    if (read(FromParent(), &c, 1) != 1) _exit(98);
  }

 private:
  static int& ToParent() {
    static int fd = -1;
    return fd;
  }
  static int& FromParent() {
    static int fd = -1;
    return fd;
  }

  pid_t pid_ = -1;
  int from_ = -1, to_ = -1;
};

// In a child: leaves with the line's number, so that a failure names its place.
#define CHILD_CHECK(condition)                                                           \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      fprintf(stderr, "%s:%d: not true in child: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                                                          \
    }                                                                                    \
  } while (false)

inline void* LoadLibrary(const char* name) {
  const std::string path = std::string(SIM_LIBRARY_DIR) + "/" + name;
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fprintf(stderr, "%s\n", dlerror());
    _exit(97);
  }
  return library;
}

// Calls an exported function by name; every parameter goes as the caller wrote it.
class Library {
 public:
  explicit Library(const char* name) : handle_(LoadLibrary(name)) {}

  template <class... Args>
  int operator()(const char* name, Args... args) const {
    auto* function = reinterpret_cast<int (*)(Args...)>(dlsym(handle_, name));
    if (function == nullptr) {
      fprintf(stderr, "no %s\n", name);
      _exit(96);
    }
    return function(args...);
  }
  void* Symbol(const char* name) const { return dlsym(handle_, name); }

 private:
  void* handle_;
};

inline constexpr uint64_t kMiB = 1 << 20;

// cuInit and the primary context of device 0, current; exits the child when that fails.
struct Cuda : Library {
  explicit Cuda(int device = 0) : Library("libcuda.so.1") {
    if ((*this)("cuInit", 0u) != 0) _exit(95);
    if ((*this)("cuDevicePrimaryCtxRetain", &context, device) != 0) _exit(94);
    if ((*this)("cuCtxSetCurrent", context) != 0) _exit(93);
  }
  int Alloc(uint64_t bytes, uint64_t* pointer) const {
    return (*this)("cuMemAlloc_v2", pointer, static_cast<size_t>(bytes));
  }
  int Free(uint64_t pointer) const { return (*this)("cuMemFree_v2", pointer); }
  uint64_t FreeBytes() const {
    size_t free_bytes = 0, total = 0;
    (*this)("cuMemGetInfo_v2", &free_bytes, &total);
    return free_bytes;
  }

  void* context = nullptr;
};

}  // namespace hami::sim
