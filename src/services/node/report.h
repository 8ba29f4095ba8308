// What the service tells about itself: metrics and the list of allocations. Pure, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "platform/kubelet/resource_endpoint.h"
#include "services/node/allocator.h"
#include "services/node/inventory.h"
#include "services/node/journal.h"

namespace hami::node {

struct ReportInput {
  std::string node;
  std::string resource;
  const Inventory& inventory;
  kubelet::EndpointStatus endpoint;
  const AllocatorCounters& counters;
  const std::map<ContainerRef, Record>& records;
  size_t waiting = 0;
  uint64_t register_patches = 0;
  uint64_t register_failures = 0;
  uint64_t lock_releases = 0;
  const std::map<uint64_t, uint64_t>& driver_events;
  bool config_broken = false;
};

std::string MetricsText(const ReportInput& input);
std::string AllocationsJson(const ReportInput& input);

// What is wrong in the files, and what holds meanwhile.
std::string ConfigErrorText(const std::string& error, bool cards_kept_back);

}  // namespace hami::node
