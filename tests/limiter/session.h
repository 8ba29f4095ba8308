// Test support: a simulated machine and container of one test, and programs running in it.
//
// A Container owns a folder with the simulated cards' state and the shared region; it ends its
// programs when it goes. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "abi/region.h"

namespace hami::limiter::testing {

inline constexpr uint64_t kMi = uint64_t{1} << 20;
inline constexpr uint64_t kContext = 256 * kMi;  // of the simulated cards

inline std::string Text(uint64_t value) { return std::to_string(value); }

using Variables = std::map<std::string, std::string>;

// A file of the build tree whose programs are tested: this one, or $HAMI_TEST_TREE, of another
// architecture, whose programs $HAMI_TEST_EMULATOR runs (aarch64_test.sh).
std::string Built(const std::string& path);
inline std::string Limiter() { return Built("lib/libvgpu.so"); }
inline std::string SimLibraries() { return Built("lib/sim"); }
inline std::string ProbeProgram() { return Built("tests/limiter_probe"); }
inline std::string CoreLoad() { return Built("tests/core_load"); }

// What a finished program said.
struct Finished {
  int status = 0;  // as waitpid gives it
  std::string out, err;
};

// A running limiter_probe (probe.cc).
class Probe {
 public:
  Probe(pid_t pid, int to, int from, std::string err_path);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  std::string Ask(const std::string& command);
  void Send(const std::string& command);
  std::string Receive();
  // False: no answer came for so long.
  bool Answers(int seconds);
  // Code of an answer "code value ...".
  int Code(const std::string& command) { return std::stoi(Ask(command)); }
  // Value of an answer "0 value"; fails the test when the code is not 0.
  uint64_t Value(const std::string& command);
  // init and ctx.
  void Begin(int device = 0);
  void Kill();
  std::string Errors() const;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
  int to_, from_;
  std::string err_path_;
  std::string buffer_;
};

class Container {
 public:
  // Variables that every program gets; CUDA_DEVICE_MEMORY_LIMIT_0 etc.
  explicit Container(Variables variables = {});
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  std::unique_ptr<Probe> Start(const Variables& more = {});
  // The same without the library: what the card's own driver says.
  std::unique_ptr<Probe> StartBare(const Variables& more = {});
  // Any program, with pipes to it.
  std::unique_ptr<Probe> StartProgram(const std::vector<std::string>& command,
                                      const Variables& more = {}, bool preload = true);
  // Any program, to its end.
  Finished Run(const std::vector<std::string>& command, const Variables& more = {});

  const std::string& folder() const { return folder_; }
  std::string region_path() const { return folder_ + "/r.cache"; }
  // The region as another process maps it; the file must be there.
  HamiRegion& region();
  uint64_t Used(unsigned device) {
    return region().ext.header.devices[device].used_total & HAMI_BYTES_MASK;
  }

  // The card's own figures, by its own books: bytes now and at most so far.
  uint64_t CardUsed(int card);
  uint64_t CardPeak(int card);

 private:
  std::vector<std::string> Environment(const Variables& more, bool preload) const;

  std::string folder_;
  Variables variables_;
  HamiRegion* region_ = nullptr;
  int started_ = 0;
};

}  // namespace hami::limiter::testing
