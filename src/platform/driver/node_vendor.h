// NodeVendor: everything the node service asks of a vendor: its cards, what a container gets, what
// an event means. One implementation per vendor; the service itself knows no vendor.
//
// Load and Prepare block on the driver and the disk: one driver thread. The rest is thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/driver/card_health.h"
#include "platform/driver/card_info.h"
#include "platform/driver/container_edits.h"

namespace hami::driver {

class NodeVendor {
 public:
  virtual ~NodeVendor() = default;
  virtual std::string_view word() const = 0;  // in allocation strings and the registry
  // "gpu" of "vendor.com/gpu" -> base name of the plugin's socket.
  virtual std::string SocketName(std::string_view resource) const = 0;
  // Loads the management library; harmless when it is loaded already.
  virtual Result<void> Load() = 0;
  virtual Backend& backend() = 0;  // after a successful Load
  // Brings the host's files (CDI specs) in step with the cards; writes only what differs.
  virtual Result<void> Prepare(const std::vector<CardInfo>& cards) = 0;
  virtual ContainerEdits Edits(const EditRequest& request) const = 0;
  virtual bool health_checks() const = 0;
  virtual EventClass Classify(uint64_t code) const = 0;
  // Removes what Prepare wrote.
  virtual Result<void> RemoveHostFiles() = 0;
};

}  // namespace hami::driver
