// CardInfo: what any vendor's management library says about one card, in one form
// (spec/companions.md 8.11). Plain values; no threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/units.h"

namespace hami::driver {

struct CardInfo {
  uint32_t index = 0;  // the management library's
  uint32_t minor = 0;  // of the device node
  std::string uuid;
  std::string model;       // as the scheduler expects it
  std::string pci_bus_id;  // "0000:3b:00.0", "" unknown
  std::optional<int> numa;
  std::optional<Bytes> memory;  // nothing: the library cannot tell (unified memory)
  bool mig_enabled = false;
  std::string compute_capability;  // "9.0", "" unknown
  std::string device_node;         // "/dev/nvidia0"
  std::string fault;               // why the card cannot be used now; "" = answers
  bool operator==(const CardInfo&) const = default;
};

// Something a driver reported about a card by itself.
struct HealthEvent {
  std::string uuid;   // "" = the library could not say which: all of them
  uint64_t code = 0;  // the vendor's number (NVIDIA: XID)
  bool operator==(const HealthEvent&) const = default;
};

// One vendor's management library. Calls block and may hang with the driver: callers give them a
// thread of their own and a limit. Enumerate and WaitEvents may run at the same time.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view vendor() const = 0;  // the word in allocation strings
  virtual std::string DriverVersion() const = 0;
  // Sorted by index. A card that is there but does not answer is listed with its fault; an error
  // means that nothing at all could be learned.
  virtual Result<std::vector<CardInfo>> Enumerate() = 0;
  // Events since the last call, after at most `wait`. kUnimplemented: this driver has none.
  virtual Result<std::vector<HealthEvent>> WaitEvents(Duration wait) = 0;
};

}  // namespace hami::driver
