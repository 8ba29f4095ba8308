// The card that the scheduler's benches count by.
#pragma once

#include <string>

#include "domain/model/device.h"

namespace hami::bench {

// Card `number` of a node of eight, as its plugin registers it.
inline Device H100(std::string uuid, int number) {
  Device device;
  device.id = std::move(uuid);
  device.index = static_cast<uint32_t>(number);
  device.count = 10;
  device.memory = {81920};
  device.cores = {100};
  device.type = "NVIDIA H100 80GB HBM3";
  device.numa = number / 4;
  device.mode = "hami-core";
  device.healthy = true;
  device.vendor = "NVIDIA";
  return device;
}

}  // namespace hami::bench
