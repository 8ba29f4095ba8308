#include <array>

#include "domain/vendor/nvidia/nvidia.h"
#include "domain/vendor/vendor.h"

namespace hami::vendor {

std::span<const Vendor> AllVendors() {
  // One line per vendor folder, in the order of spec/vendors.md A.11.
  static const std::array kVendors = {Nvidia()};
  return kVendors;
}

const Vendor* FindVendor(std::string_view word) {
  for (const Vendor& vendor : AllVendors()) {
    if (vendor.word == word) return &vendor;
  }
  return nullptr;
}

std::vector<const Vendor*> EnabledVendors(const DeviceConfig& config) {
  std::vector<const Vendor*> out;
  for (const Vendor& vendor : AllVendors()) {
    if (vendor.hooks.settings(config).enabled) out.push_back(&vendor);
  }
  return out;
}

std::vector<std::string> ManagedResources(const DeviceConfig& config) {
  std::vector<std::string> out;
  for (const Vendor* vendor : EnabledVendors(config)) {
    Settings s = vendor->hooks.settings(config);
    for (std::string* name : {&s.count, &s.memory, &s.memory_percent, &s.cores, &s.priority}) {
      if (!name->empty()) out.push_back(std::move(*name));
    }
  }
  return out;
}

}  // namespace hami::vendor
