#include "domain/policy/charge.h"

#include <algorithm>

#include "domain/protocol/allocation.h"

namespace hami::policy {
namespace {

DeviceUsage Max(const DeviceUsage& a, const DeviceUsage& b) {
  return {.slots = std::max(a.slots, b.slots),
          .memory = std::max(a.memory, b.memory),
          .cores = std::max(a.cores, b.cores),
          .exclusive = std::max(a.exclusive, b.exclusive)};
}

// What one container holds of each card.
Charge OfContainer(const std::vector<DeviceShare>& shares) {
  Charge out;
  for (const DeviceShare& share : shares) {
    out[std::string(protocol::PhysicalUuid(share.uuid))] += UsageOf(share);
  }
  return out;
}

void AddAll(const Charge& more, Charge& sum) {
  for (const auto& [uuid, usage] : more) sum[uuid] += usage;
}

}  // namespace

Charge ChargeOf(const Pod& pod, const SharesByVendor& shares) {
  if (pod.Finished()) return {};
  Charge out;
  for (const auto& [word, containers] : shares) {
    Charge sidecars;
    Charge apps;
    Charge init;
    for (size_t i = 0; i < containers.size(); ++i) {
      ContainerKind kind = i < pod.containers.size() ? pod.containers[i].kind : ContainerKind::kApp;
      Charge one = OfContainer(containers[i]);
      if (kind == ContainerKind::kSidecar) AddAll(one, sidecars);
      if (kind == ContainerKind::kApp) AddAll(one, apps);
      if (kind != ContainerKind::kInit) continue;
      for (const auto& [uuid, usage] : one) init[uuid] = Max(init[uuid], usage);
    }
    for (const auto& [uuid, usage] : init) apps[uuid] = Max(apps[uuid], usage);
    AddAll(apps, out);
    AddAll(sidecars, out);
  }
  return out;
}

}  // namespace hami::policy
