// Where a CardSet comes from: a file, and the environment that overrides it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sim/core/cards_binder.h"

namespace hami::sim {
namespace {

// The whole file; size and modification time by reference. Null: cannot be read.
char* ReadWhole(const char* path, size_t& size, int64_t& modified_ns, ReadError& error) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    error.Set(0, "cannot be opened");
    return nullptr;
  }
  struct stat info;
  char* text = nullptr;
  // The raw call: the wrapper's glibc version is too new.
  if (syscall(SYS_fstat, fd, &info) == 0 && info.st_size <= 256 * 1024) {
    const auto room = static_cast<size_t>(info.st_size);
    text = static_cast<char*>(malloc(room + 1));
    size = 0;
    while (text != nullptr && size < room) {
      const ssize_t n = read(fd, text + size, room - size);
      if (n <= 0) break;
      size += static_cast<size_t>(n);
    }
    modified_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  }
  close(fd);
  if (text == nullptr) error.Set(0, "cannot be read, or is larger than 256 KiB");
  return text;
}

// One item of FAKEGPU_FAIL: "cuMemAlloc:every=7:code=2:latency_us=50".
bool ParseFault(std::string_view item, Fault& fault) {
  bool first = true;
  for (std::string_view rest = item; !rest.empty();) {
    const size_t colon = rest.find(':');
    const std::string_view part = Slice(rest, 0, colon);
    rest = colon == std::string_view::npos ? std::string_view{} : Slice(rest, colon + 1);
    const size_t equals = part.find('=');
    uint64_t value = 0;
    if (first) {
      if (!CopyText(fault.function, part)) return false;
    } else if (equals == std::string_view::npos || !ParseUnsigned(Slice(part, equals + 1), value) ||
               value > 1'000'000'000) {
      return false;
    } else if (Slice(part, 0, equals) == "every") {
      fault.every = static_cast<uint32_t>(value);
    } else if (Slice(part, 0, equals) == "code") {
      fault.code = static_cast<int32_t>(value);
    } else if (Slice(part, 0, equals) == "latency_us") {
      fault.latency_us = static_cast<uint32_t>(value);
    } else {
      return false;
    }
    first = false;
  }
  const bool name = item.starts_with("cu") || item.starts_with("nvml");
  return name && (fault.every != 0) == (fault.code != 0);
}

void ApplyFaults(CardSet& set) {
  const char* list = getenv("FAKEGPU_FAIL");
  if (list == nullptr) return;
  for (std::string_view rest = list; !rest.empty();) {
    const size_t comma = rest.find(',');
    const std::string_view item = Slice(rest, 0, comma);
    rest = comma == std::string_view::npos ? std::string_view{} : Slice(rest, comma + 1);
    Fault fault;
    if (set.fault_count == kMaxFaults || !ParseFault(item, fault)) {
      Complain("FAKEGPU_FAIL: expected items such as cuMemAlloc:every=7:code=2, got \"%.*s\"",
               SIM_SV(item));
      continue;
    }
    set.faults[set.fault_count++] = fault;
  }
}

void EnvMilliseconds(const char* name, uint64_t low, uint64_t high, uint64_t& ns) {
  uint64_t value = 0;
  if (EnvUnsigned(name, value) && value >= low && value <= high) ns = value * 1'000'000;
}

void ApplyEnvironment(CardSet& set) {
  uint64_t value = 0;
  ApplyFaults(set);
  if (EnvUnsigned("FAKEGPU_PID_OFFSET", value) && value <= 1'000'000'000) {
    set.pid_offset = static_cast<int32_t>(value);
  }
  if (EnvUnsigned("FAKEGPU_CUDA", value) && value >= 9000 && value < 100'000) {
    set.cuda_version = static_cast<int32_t>(value);
  }
  if (EnvUnsigned("FAKEGPU_COUNT", value) && value < static_cast<uint64_t>(set.count)) {
    set.count = static_cast<int>(value);
  }
  const char* driver = getenv("FAKEGPU_DRIVER");
  if (driver != nullptr && *driver != '\0') CopyText(set.driver_version, driver);
  EnvMilliseconds("FAKEGPU_UTIL_MS", 20, 5000, set.utilization_window_ns);
  EnvMilliseconds("FAKEGPU_UTIL_LAG_MS", 0, 2000, set.utilization_lag_ns);
  EnvMilliseconds("FAKEGPU_UTIL_SAMPLE_MS", 0, 2000, set.utilization_sample_ns);
  const char* scheduling = getenv("FAKEGPU_SCHEDULING");
  if (scheduling != nullptr && strcmp(scheduling, "time_sliced") == 0) {
    if (set.slice_ns == 0) set.slice_ns = 2'000'000;
  } else if (scheduling != nullptr && strcmp(scheduling, "fifo") == 0) {
    set.slice_ns = 0;
  } else if (scheduling != nullptr && *scheduling != '\0') {
    Complain("FAKEGPU_SCHEDULING: expected fifo or time_sliced, got \"%s\"", scheduling);
  }
  for (int i = 0; i < set.count; ++i) {
    Card& card = set.cards[i];
    if (EnvUnsigned("FAKEGPU_MEM_MB", value) && value < 4 * 1024 * 1024) {
      card.memory_bytes = value << 20;
    }
    if (EnvUnsigned("FAKEGPU_CTX_MB", value) && value < 4 * 1024 * 1024) {
      card.context_bytes = value << 20;
    }
    if (EnvUnsigned("FAKEGPU_KERNEL_NS", value) && value > 0) card.kernel_ns = value;
  }
}

}  // namespace

bool LoadCards(const char* path, CardSet& set, ReadError& error) {
  bool ok = false;
  if (path != nullptr) {
    size_t size = 0;
    char* text = ReadWhole(path, size, set.modified_ns, error);
    ok = text != nullptr && ParseCards(text, size, set, error);
    free(text);
  } else {
    uint64_t count = 1;
    EnvUnsigned("FAKEGPU_COUNT", count);
    char text[96];
    const int size =
        snprintf(text, sizeof text, "cards: [{model: NVIDIA A100-SXM4-40GB, count: %d}]",
                 static_cast<int>(count < kMaxCards ? count : kMaxCards));
    if (count == 0) return true;
    ok = ParseCards(text, static_cast<size_t>(size), set, error);
  }
  if (ok) ApplyEnvironment(set);
  return ok;
}

}  // namespace hami::sim
