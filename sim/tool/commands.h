// What hami-sim does. Each command prints to standard output, complains on standard error, and
// returns the program's exit code. Single-threaded.
#pragma once

#include <cstdint>
#include <string>

namespace hami::sim {

inline constexpr int kDone = 0, kWrongUse = 1, kBadFile = 2;

struct ToolOptions {
  std::string config, state;  // empty: found as the libraries find them
  int card = -1;
  bool json = false;
};

int ValidateCards(const std::string& path, const ToolOptions& options);
int ShowCards(const ToolOptions& options);
int ShowState(const ToolOptions& options);
int ResetPeaks(const ToolOptions& options);
int InjectXid(uint32_t xid, const ToolOptions& options);

}  // namespace hami::sim
