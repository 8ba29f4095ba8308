// What hami-sim does. Each command prints to standard output, complains on standard error, and
// returns the program's exit code. Single-threaded.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sim/core/ledger.h"
#include "sim/core/location.h"

namespace hami::sim {

inline constexpr int kDone = 0, kBadFile = 1, kWrongUse = 2;

struct ToolOptions {
  std::string config, state;  // empty: found as the libraries find them
  int card = -1;
  bool json = false;
  int64_t for_ns = -1;  // busy: until interrupted
};

int ValidateCards(const std::string& path, const ToolOptions& options);
int ShowCards(const ToolOptions& options);
int ShowState(const ToolOptions& options);
int ResetPeaks(const ToolOptions& options);
// Watches the cards' own timeline for a while: busy time per card, process and container.
int ShowBusy(const ToolOptions& options);
int InjectXid(uint32_t xid, const ToolOptions& options);

// The files of this machine, opened; null after a complaint.
struct Opened {
  Location location;
  CardSet cards;
  Ledger ledger;
  ~Opened() { ledger.Close(); }
};
std::unique_ptr<Opened> OpenFiles(const ToolOptions& options, bool with_state);
void PrintJsonText(const char* text);

}  // namespace hami::sim
